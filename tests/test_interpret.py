"""From a reading to an event."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from bridge.calls import CallRecord
from bridge.interpret import Arrival, Interpretation, Interpreter, SourceView
from bridge.model import Facts, Reading, ReadingKind

VIEW = SourceView("pbx", "TR", ZoneInfo("Europe/Istanbul"), lambda cause, locale: f"{cause} ({locale})")
NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)


def interpreted(kind: ReadingKind, record: CallRecord | None = None, **facts: object) -> Interpretation:
    reading = Reading(kind=kind, call_id="1234", tenant="101", facts=Facts(**facts), raw={"a": ["1", "2"]})  # type: ignore[arg-type]
    meaning = Interpreter("tr", 10).interpret(record or CallRecord(), Arrival(VIEW, reading, repr(facts) + kind, NOW))
    assert meaning is not None
    return meaning


def test_an_event_has_its_own_dialed_user_and_the_call_the_first_one() -> None:
    first = interpreted("ringing", dialed_user="1002", started_at=NOW)
    second = interpreted("ringing", first.record, dialed_user="1001", started_at=NOW.replace(second=3))
    other = interpreted("other", second.record)
    assert [one.event.call.dialed_user for one in (first, second, other) if one.event.call] == ["1002", "1001", None]
    assert [one.call.dialed_user for one in (first, second, other)] == ["1002", "1002", "1002"]


def test_an_event_without_a_stamp_happened_when_it_was_received_in_the_time_of_the_pbx() -> None:
    event = interpreted("ringing").event
    assert event.timestamp.isoformat() == "2026-11-24T09:00:00+03:00"
    assert event.data.received_at.isoformat() == "2026-11-24T09:00:00+03:00"


def test_an_answer_after_the_ending_is_late_and_a_leg_that_ends_is_not() -> None:
    ended = interpreted("hangup", ended_at=NOW, direction="inbound").record
    assert interpreted("answered", ended, answered_at=NOW).late
    assert not interpreted("leg_ended", ended).late


def test_the_cause_is_worded_in_the_locale() -> None:
    call = interpreted("hangup", cause="NO_ANSWER", ended_at=NOW).event.call
    assert call is not None
    assert (call.cause, call.cause_text) == ("NO_ANSWER", "NO_ANSWER (tr)")


def test_an_event_keeps_every_field_as_it_came() -> None:
    data = interpreted("ringing").event.data
    assert getattr(data, "raw", None) == {"a": ["1", "2"]}
