"""What a hangup means: one ending for a call, decided once, and said once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bridge import ENDINGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Desk, Office

HANGUP = {
    "event_type": "hangup",
    "domain_id": "101",
    "direction": "inbound",
    "caller_id_number": "02123205062",
    "start_stamp": "2026-07-01 09:00:00",
    "end_stamp": "2026-07-01 09:00:20",
}
NOBODY = {"connected_user": "", "answer_stamp": ""}
SOMEBODY = {"connected_user": "1001", "answer_stamp": "2026-07-01 09:00:08"}
MACHINE = {"connected_user": "", "answer_stamp": "2026-07-01 09:00:08"}
RINGING = HANGUP | {"event_type": "ringing", "end_stamp": ""}
ANSWER = RINGING | SOMEBODY | {"event_type": "answer"}

WINDOW = 10.0


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    return open_desk()


@pytest.mark.parametrize(
    ("form", "ending"),
    [
        (SOMEBODY, "call.completed"),
        (NOBODY, "call.missed"),
        (NOBODY | {"direction": "outbound"}, "call.unanswered"),
        (NOBODY | {"direction": "internal"}, "call.unanswered"),
        (SOMEBODY | {"answered": "false"}, "call.completed"),
        (NOBODY | {"answered": "true"}, "call.missed"),
        (MACHINE | {"answered": "true"}, "call.completed"),
        (MACHINE | {"answered": "F"}, "call.missed"),
        ({"answered": "YES"}, "call.completed"),
        ({"answered": "0"}, "call.missed"),
        ({"hangup_cause": "NORMAL_CLEARING"}, "call.missed"),
        ({}, "call.missed"),
    ],
)
def test_evidence_goes_before_the_flag_and_the_flag_before_the_cause(
    office: Office, form: dict[str, str], ending: str
) -> None:
    event = office.hear(HANGUP, **form)
    assert (event["type"], event["data"]["call"]["state"]) == (ending, ending.removeprefix("call."))


@pytest.mark.parametrize(
    ("answer", "hangup", "ending"),
    [
        (ANSWER, {"answered": "false"}, "call.completed"),
        (ANSWER, NOBODY, "call.completed"),
        (ANSWER | MACHINE, {"hangup_cause": "NORMAL_CLEARING"}, "call.completed"),
        (ANSWER | MACHINE, {"hangup_cause": "ORIGINATOR_CANCEL"}, "call.missed"),
        (ANSWER | MACHINE, {"answered": "false"}, "call.missed"),
    ],
)
def test_an_earlier_answer_is_evidence_too(
    office: Office, answer: dict[str, str], hangup: dict[str, str], ending: str
) -> None:
    call_id = office.tell(answer)
    office.tell(HANGUP, call_uuid=call_id, **hangup)
    assert [event["type"] for event in office.heard(call_id, 2)] == ["call.answered", ending]


@pytest.mark.parametrize(("flag", "ending"), [("true", "call.missed"), ("false", "call.completed")])
def test_the_flag_can_mean_missed(open_desk: Callable[..., Desk], flag: str, ending: str) -> None:
    desk = open_desk('[sources.bulutsantralim]\nanswered_means = "missed"')
    desk.post(HANGUP | {"call_uuid": "1", "answered": flag})
    desk.now += 1
    desk.post(HANGUP | NOBODY | {"call_uuid": "2", "answered": flag})
    assert desk.types() == [ending, "call.missed"]
    warned = desk.client.get("/readyz").json["warnings"]
    assert len(warned) == (1 if flag == "false" else 0)
    assert all('set sources.bulutsantralim.answered_means = "accepted"' in warning for warning in warned)


def test_a_leg_that_ends_ends_no_call(office: Office) -> None:
    call_id = office.tell(RINGING, dialed_user="1001")
    office.tell(HANGUP | NOBODY, call_uuid=call_id, event_type="user_hangup", dialed_user="1001", answered="false")
    _, leg = office.heard(call_id, 2)
    assert (leg["type"], leg["data"]["call"]["state"], leg["data"]["call"]["ended_at"]) == (
        "leg.ended",
        "ringing",
        None,
    )


@pytest.mark.parametrize("cause", ["LOSE_RACE", "PICKED_OFF", "ATTENDED_TRANSFER", "lose_race"])
def test_an_unanswered_hangup_that_another_took_over_is_a_leg(office: Office, cause: str) -> None:
    call_id = office.tell(HANGUP | NOBODY, hangup_cause=cause, answered="false", dialed_user="1002")
    office.tell(HANGUP | SOMEBODY, call_uuid=call_id, hangup_cause="NORMAL_CLEARING")
    assert [event["type"] for event in office.heard(call_id, 2)] == ["leg.ended", "call.completed"]


def test_an_answered_hangup_is_an_ending_whatever_took_over(office: Office) -> None:
    assert office.hear(HANGUP | SOMEBODY, hangup_cause="ATTENDED_TRANSFER")["type"] == "call.completed"


def test_a_ring_group_that_nobody_answers_is_missed_once(office: Office) -> None:
    phones = [str(number) for number in range(1001, 1009)]
    call_id = office.new_id()
    for phone in phones:
        office.tell(RINGING, call_uuid=call_id, dialed_user=phone, queue="700")
    for phone in phones:
        office.tell(HANGUP | NOBODY, call_uuid=call_id, event_type="user_hangup", dialed_user=phone, answered="false")
    office.tell(HANGUP | NOBODY, call_uuid=call_id, dialed_user=phones[0], answered="false", queue="700")
    for phone in phones[1:]:
        office.tell(HANGUP | NOBODY, call_uuid=call_id, dialed_user=phone, answered="false", queue="700")
    events = office.heard(call_id, 24)
    types = [event["type"] for event in events]
    assert [one for one in types if one in ENDINGS] == ["call.missed"]
    assert types.count("other") == 7
    (missed,) = [event["data"]["call"] for event in events if event["type"] == "call.missed"]
    assert (missed["rang"], missed["dialed_user"], missed["queue"]) == (phones, "1001", "700")
    assert [call["state"] for call in office.rows("calls") if call["id"] == call_id] == ["missed"]


def test_a_second_different_hangup_changes_no_ending_and_is_kept_as_other(office: Office) -> None:
    call_id = office.tell(HANGUP | NOBODY)
    office.tell(HANGUP | SOMEBODY, call_uuid=call_id)
    missed, other = office.heard(call_id, 2)
    assert (missed["type"], other["type"]) == ("call.missed", "other")
    assert other["data"]["call"] == {**missed["data"]["call"], "dialed_user": None}
    assert other["data"]["raw"]["connected_user"] == "1001"
    assert office.rows("calls", "--limit", "1")[0]["state"] == "missed"


def test_the_same_call_id_of_another_tenant_is_another_call(office: Office) -> None:
    call_id = office.tell(HANGUP | NOBODY)
    office.tell(HANGUP | NOBODY, call_uuid=call_id, domain_id="102")
    assert [event["type"] for event in office.heard(call_id, 2)] == ["call.missed", "call.missed"]


# --- repeats ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event_type", ["ringing", "answer", "user_hangup", "hangup", "voicemail"])
def test_an_identical_form_changes_nothing_and_is_delivered_to_nobody(office: Office, event_type: str) -> None:
    form = {**HANGUP, **NOBODY, "event_type": event_type}
    call_id = office.tell(form)
    office.tell(form, call_uuid=call_id)
    office.tell(dict(reversed(form.items())), call_uuid=call_id)
    assert len(office.kept(call_id)) == 1
    assert [row["call_id"] for row in office.rows("deliveries", "--limit", "3")].count(call_id) == 1


@pytest.mark.parametrize("event_type", ["ringing", "answer", "user_hangup", "voicemail"])
def test_the_window_for_repeats_has_an_end(desk: Desk, event_type: str) -> None:
    form = {**RINGING, "event_type": event_type, "call_uuid": "1"}
    for wait, kept in ((0.0, 1), (WINDOW, 1), (0.1, 2), (WINDOW, 2), (0.1, 3)):
        desk.now += wait
        assert (desk.post(form).text, len(desk.events())) == ("1", kept)
    assert desk.metric("callbridge_posts_total", source="bulutsantralim", result="repeat") == 2


def test_the_window_for_repeats_can_be_set(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk('[intake]\nduplicate_window = "0.5s"')
    for wait, kept in ((0.0, 1), (0.5, 1), (0.1, 2)):
        desk.now += wait
        desk.post({**RINGING, "call_uuid": "1"})
        assert len(desk.events()) == kept


@pytest.mark.parametrize("changes", [NOBODY, SOMEBODY, NOBODY | {"hangup_cause": "LOSE_RACE"}])
def test_a_repeated_hangup_is_known_for_ever(desk: Desk, changes: dict[str, str]) -> None:
    form = {**HANGUP, **changes, "call_uuid": "1"}
    desk.post(form)
    (kept,) = desk.events()
    desk.now += 400 * 24 * 3600
    assert desk.post(form).text == "1"
    assert desk.events() == [kept]


def test_a_repeat_is_known_after_a_restart_and_a_clock_that_went_back(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    desk.post({**RINGING, "call_uuid": "1"})
    after = open_desk()
    after.now = desk.now - WINDOW
    after.post({**RINGING, "call_uuid": "1"})
    assert len(after.events()) == 1


# --- late ---------------------------------------------------------------------------------------------------------


def test_what_comes_after_the_ending_completes_the_facts_and_is_delivered_to_nobody(office: Office) -> None:
    call_id = office.tell(HANGUP | SOMEBODY, start_stamp="", dialed_user="1001")
    office.tell(RINGING, call_uuid=call_id, dialed_user="1002", queue="200")
    office.tell(ANSWER, call_uuid=call_id, dialed_user="1001")
    office.tell(HANGUP, call_uuid=call_id, event_type="user_hangup", dialed_user="1003")
    completed, ringing, answered, leg = office.kept(call_id)
    assert [one["type"] for one in (completed, ringing, answered)] == [
        "call.completed",
        "call.ringing",
        "call.answered",
    ]
    assert {one["data"]["call"]["state"] for one in (ringing, answered, leg)} == {"completed"}
    assert [event["type"] for event in office.heard(call_id, 2)] == ["call.completed", "leg.ended"]
    (call,) = [row for row in office.rows("calls") if row["id"] == call_id]
    assert (call["state"], call["rang"], call["queue"]) == ("completed", ["1001", "1002", "1003"], "200")
    assert (call["started_at"], call["wait_seconds"]) == ("2026-07-01T09:00:00+03:00", 8)
    assert [row["event_type"] for row in office.rows("deliveries") if row["call_id"] == call_id] == [
        "call.completed",
        "leg.ended",
    ]


# --- doubts -------------------------------------------------------------------------------------------------------


def test_a_flag_that_contradicts_the_evidence_is_counted_and_shown_with_its_remedy(office: Office) -> None:
    before = office.metric("callbridge_answered_contradictions_total")
    assert office.hear(HANGUP | NOBODY, answered="true")["type"] == "call.missed"
    assert office.hear(HANGUP | SOMEBODY, answered="false")["type"] == "call.completed"
    assert office.hear(HANGUP | SOMEBODY, answered="true")["type"] == "call.completed"
    assert office.metric("callbridge_answered_contradictions_total") == before + 2
    (warning,) = office.bridge.get("/readyz").json()["warnings"]
    assert warning.startswith("sources.bulutsantralim: the PBX's answered flag contradicted the evidence ")
    assert 'set sources.bulutsantralim.answered_means = "missed"' in warning
    listed = office.run("plugins")
    assert (listed.exit_code, listed.stderr.strip()) == (0, f"warning: {warning}")
