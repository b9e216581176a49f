"""The scripted calls: read by the source itself, they tell the stories their names promise."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from callbridge_bulutsantralim.scenarios import SCENARIOS
from callbridge_bulutsantralim.source import Bulutsantralim, Settings

from bridge import Post, Reading, Scenario, SourceContext

NOW = datetime(2026, 7, 25, 11, 30, 15, 999, tzinfo=ZoneInfo("Europe/Istanbul"))
SOURCE = Bulutsantralim(Settings(), SourceContext("bulutsantralim", ZoneInfo("Europe/Istanbul"), "TR"))


def read(scenario: Scenario) -> list[Reading]:
    readings = [SOURCE.read(Post(form, b"", "", NOW)) for _, form in scenario.steps]
    return [reading for reading in readings if reading is not None]


def told(name: str) -> list[Reading]:
    return read(SCENARIOS[name](NOW))


def hangups(readings: list[Reading]) -> list[Reading]:
    return list({reading.call_id: reading for reading in readings if reading.kind == "hangup"}.values())


def is_missed(hangup: Reading) -> bool:
    return hangup.facts.direction == "inbound" and not hangup.flag


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "morning"])
def test_one_call_ends_now_with_one_hangup(name: str) -> None:
    readings = told(name)
    assert len({reading.call_id for reading in readings}) == 1
    assert [reading.kind for reading in readings].count("hangup") == 1
    assert readings[-1].kind == "hangup"
    assert readings[-1].facts.ended_at == NOW.replace(microsecond=0)


@pytest.mark.parametrize("name", SCENARIOS)
def test_ids_are_fresh_and_simulating_is_quick(name: str) -> None:
    first, second = SCENARIOS[name](NOW), SCENARIOS[name](NOW)
    shared = {reading.call_id for reading in read(first)} & {reading.call_id for reading in read(second)}
    assert not shared
    assert all(0 <= pause <= 0.3 for pause, _ in first.steps)
    assert sum(pause for pause, _ in first.steps) < 6


@pytest.mark.parametrize("name", SCENARIOS)
def test_evidence_and_flag_agree(name: str) -> None:
    assert all(hangup.connected in (None, hangup.flag) for hangup in hangups(told(name)))


def test_a_missed_call_rings_and_ends() -> None:
    ringing, hangup = told("missed")
    assert (ringing.kind, is_missed(hangup), hangup.connected) == ("ringing", True, False)


def test_in_a_ring_group_one_phone_wins_and_the_others_lose_the_race() -> None:
    readings = told("ring-group")
    assert [reading.facts.dialed_user for reading in readings[:3]] == ["1001", "1002", "1003"]
    lost = [reading.facts.dialed_user for reading in readings if reading.kind == "leg_ended" and reading.taken_over]
    assert lost == ["1001", "1003"]
    assert readings[-1].facts.connected_user == "1002"


def test_a_queue_that_was_left_took_the_call_itself() -> None:
    hangup = told("queue-abandoned")[-1]
    assert (hangup.connected, hangup.flag, hangup.facts.queue) == (None, False, "200")
    assert hangup.facts.answered_at is not None
    assert hangup.facts.queue_wait == 43


def test_a_pickup_connects_another_phone_than_the_one_that_rang() -> None:
    hangup = told("pickup")[-1]
    assert (hangup.facts.dialed_user, hangup.facts.connected_user) == ("1001", "1005")
    assert "PICKED_OFF" in {reading.facts.cause for reading in told("pickup")}


def test_an_outbound_call_shows_the_offices_number() -> None:
    hangup = told("outbound")[-1]
    assert (hangup.facts.direction, hangup.facts.outside_number, hangup.flag) == ("outbound", "02129510292", True)


def test_a_hangup_carries_every_field_of_the_specification() -> None:
    _, form = SCENARIOS["missed"](NOW).steps[-1]
    assert set(form) == {
        "event_type", "domain_id", "direction", "caller_id_number", "outbound_caller_id_number", "destination_number",
        "dialed_user", "connected_user", "call_uuid", "start_stamp", "answer_stamp", "end_stamp", "duration",
        "recording_present", "answered", "queue", "queue_wait_duration", "sip_hangup_disposition", "hangup_cause",
        "failure_status", "failure_phrase",
    }  # fmt: skip


def test_a_morning_is_as_mixed_as_an_offices() -> None:
    readings = told("morning")
    ended = hangups(readings)
    assert len(ended) == 24
    assert sum(is_missed(hangup) for hangup in ended) == 7
    assert {hangup.facts.direction for hangup in ended} == {"inbound", "outbound", "internal"}
    assert {"anonymous", None, "00493089680211"} <= {hangup.facts.caller for hangup in ended}
    assert {"LOSE_RACE", "PICKED_OFF", "USER_BUSY", "NO_ANSWER"} <= {reading.facts.cause for reading in readings}
    for hangup in ended:
        assert hangup.facts.started_at is not None
        assert hangup.facts.ended_at is not None
        assert NOW - timedelta(hours=2) < hangup.facts.started_at < hangup.facts.ended_at < NOW


def test_a_morning_has_a_doubled_and_a_late_event() -> None:
    forms = [form for _, form in SCENARIOS["morning"](NOW).steps]
    copies = Counter(tuple(sorted(form.items())) for form in forms)
    assert [count for count in copies.values() if count > 1] == [2]
    last = {form["call_uuid"]: form["event_type"] for form in forms}
    assert list(last.values()).count("ringing") == 1
