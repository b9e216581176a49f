"""The call as people and programs see it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bridge.calls import CallRecord, decide, describe, merge
from bridge.model import Call, Facts, Number, Reading, ReadingKind

ISTANBUL = ZoneInfo("Europe/Istanbul")
START = datetime(2016, 1, 1, tzinfo=ISTANBUL)


def at(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def said(kind: ReadingKind, *, connected: bool | None = None, **facts: Any) -> Reading:
    known = Facts(**{"direction": "inbound", "started_at": START, **facts})
    return Reading(kind, "1234", "101", known, {}, connected=connected)


def call_after(*readings: Reading) -> Call:
    record = CallRecord()
    for number, reading in enumerate(readings):
        record = merge(record, reading, decide(record, reading).type, digest=str(number), received_at=number)
    return describe(
        CallRecord.from_json(record.to_json()),
        call_id="1234",
        region="TR",
        locale="tr",
        timezone=ISTANBUL,
        cause_text={"ORIGINATOR_CANCEL": "Vazgeçildi"}.get,
    )


def test_a_missed_call_is_described_as_published() -> None:
    ringing = said("ringing", caller="02123205062", called="1001", dialed_user="1001", queue="200")
    hangup = said(
        "hangup",
        connected=False,
        caller="02123205062",
        dialed_user="1001",
        ended_at=at(20),
        duration=20,
        queue_wait=15,
        hung_up_by="caller",
        cause="ORIGINATOR_CANCEL",
        recording_present=False,
    )
    assert call_after(ringing, hangup).model_dump(mode="json") == {
        "id": "1234",
        "direction": "inbound",
        "state": "missed",
        "caller": {"raw": "02123205062", "e164": "+902123205062", "display": "(0212) 320 50 62", "kind": "external"},
        "called": {"raw": "1001", "e164": None, "display": "1001", "kind": "extension"},
        "outside_number": None,
        "dialed_user": "1001",
        "connected_user": None,
        "rang": ["1001"],
        "queue": "200",
        "started_at": "2016-01-01T00:00:00+02:00",
        "answered_at": None,
        "ended_at": "2016-01-01T00:00:20+02:00",
        "talk_seconds": 0,
        "wait_seconds": 20,
        "queue_wait_seconds": 15,
        "hung_up_by": "caller",
        "cause": "ORIGINATOR_CANCEL",
        "cause_text": "Vazgeçildi",
        "recording_present": False,
        "failure_status": None,
        "failure_phrase": None,
    }


def test_times_have_the_offset_of_their_day() -> None:
    summer = datetime(2026, 7, 25, 9, tzinfo=ISTANBUL)
    started = call_after(said("ringing", started_at=summer)).started_at
    assert started is not None
    assert started.isoformat() == "2026-07-25T09:00:00+03:00"


def test_a_call_of_which_nothing_is_known_has_a_withheld_caller() -> None:
    call = call_after(Reading("other", "1", None, Facts(), {}))
    assert call.caller == Number(raw="", e164=None, display="Gizli numara", kind="withheld")
    assert (call.called, call.outside_number, call.direction, call.state) == (None, None, None, "ringing")


def test_an_emergency_number_is_a_service_only_where_it_was_called() -> None:
    outbound = call_after(said("ringing", direction="outbound", caller="112", called="112", outside_number="112"))
    inbound = call_after(said("ringing", called="112"))
    assert outbound.called is not None
    assert outbound.outside_number is not None
    assert inbound.called is not None
    kinds = (outbound.caller.kind, outbound.called.kind, outbound.outside_number.kind, inbound.called.kind)
    assert kinds == ("extension", "service", "extension", "extension")


def test_an_answered_call_counts_the_wait_and_then_the_talk() -> None:
    answer = said("answered", connected=True, connected_user="1005", answered_at=at(8))
    ringing_late = said("ringing", dialed_user="1001")
    during = call_after(answer, ringing_late)
    assert (during.state, during.answered_at, during.ended_at) == ("answered", at(8), None)
    assert (during.wait_seconds, during.talk_seconds, during.connected_user) == (8, None, "1005")

    hangup = said("hangup", connected=True, connected_user="1005", answered_at=at(8), ended_at=at(68), duration=68)
    ended = call_after(answer, ringing_late, hangup)
    assert (ended.state, ended.answered_at, ended.ended_at) == ("completed", at(8), at(68))
    assert (ended.wait_seconds, ended.talk_seconds, ended.rang) == (8, 60, ("1001",))


def test_the_duration_counts_where_stamps_are_missing() -> None:
    assert call_after(said("hangup", connected=True, duration=65)).talk_seconds == 65
    assert call_after(said("hangup", connected=True)).talk_seconds is None


def test_no_time_is_negative() -> None:
    call = call_after(said("hangup", connected=True, answered_at=at(-5), ended_at=at(-9)))
    assert (call.talk_seconds, call.wait_seconds) == (0, 0)


def test_seconds_are_counted_across_a_change_of_the_clocks() -> None:
    before = datetime(2015, 11, 8, 3, 59, 50, tzinfo=ISTANBUL)
    after = datetime(2015, 11, 8, 3, 0, 10, tzinfo=ISTANBUL, fold=1)
    call = call_after(said("hangup", connected=True, started_at=before, answered_at=before, ended_at=after))
    assert call.talk_seconds == 20
    assert call.ended_at is not None
    assert call.ended_at.isoformat() == "2015-11-08T03:00:10+02:00"


def test_a_machine_that_took_the_call_is_not_an_answer_for_people() -> None:
    queue = said("answered", answered_at=at(5), queue="200")
    during = call_after(queue)
    assert (during.state, during.answered_at, during.wait_seconds) == ("answered", None, None)
    given_up = call_after(queue, said("hangup", connected=False, answered_at=at(5), ended_at=at(48)))
    assert (given_up.state, given_up.answered_at, given_up.wait_seconds, given_up.talk_seconds) == (
        "missed",
        None,
        48,
        0,
    )


def test_outside_an_answer_names_no_extension_and_is_one() -> None:
    call = call_after(said("answered", direction="outbound", answered_at=at(11)))
    assert (call.answered_at, call.wait_seconds) == (at(11), 11)


def test_the_first_extension_that_rang_is_the_calls() -> None:
    first = said("ringing", dialed_user="1002")
    second = said("ringing", started_at=at(3), dialed_user="1001")
    assert call_after(first, second).dialed_user == "1002"
    assert call_after(second, first).dialed_user == "1002"
    assert call_after(first, second).rang == ("1001", "1002")
