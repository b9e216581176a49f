"""How a call ended: the evidence, else the PBX's flag, else the cause."""

from __future__ import annotations

import pytest

from bridge.calls import CallRecord, Decision, decide, merge
from bridge.model import (
    CALL_ANSWERED,
    CALL_COMPLETED,
    CALL_MISSED,
    CALL_RINGING,
    CALL_UNANSWERED,
    LEG_ENDED,
    OTHER,
    Direction,
    Facts,
    Reading,
    ReadingKind,
)

NOTHING = CallRecord()


def reading(
    kind: ReadingKind = "hangup",
    *,
    direction: Direction | None = "inbound",
    connected: bool | None = None,
    flag: bool | None = None,
    taken_over: bool = False,
    cleared: bool = False,
) -> Reading:
    return Reading(kind, "1", None, Facts(direction=direction), {}, connected, flag, taken_over, cleared)


def after(*earlier: Reading) -> CallRecord:
    record = NOTHING
    for number, event in enumerate(earlier):
        record = merge(record, event, decide(record, event).type, digest=str(number), received_at=number)
    return record


@pytest.mark.parametrize(
    ("kind", "event_type"),
    [("ringing", CALL_RINGING), ("answered", CALL_ANSWERED), ("leg_ended", LEG_ENDED), ("other", OTHER)],
)
def test_what_is_no_hangup_never_ends_the_call(kind: ReadingKind, event_type: str) -> None:
    for record in (NOTHING, after(reading("hangup"))):
        assert decide(record, reading(kind, taken_over=True, connected=False)) == Decision(event_type)


@pytest.mark.parametrize(
    ("connected", "flag", "expected"),
    [
        (True, None, Decision(CALL_COMPLETED)),
        (True, True, Decision(CALL_COMPLETED)),
        (True, False, Decision(CALL_COMPLETED, contradiction=True)),
        (False, None, Decision(CALL_MISSED)),
        (False, False, Decision(CALL_MISSED)),
        (False, True, Decision(CALL_MISSED, contradiction=True)),
        (None, True, Decision(CALL_COMPLETED)),
        (None, False, Decision(CALL_MISSED)),
        (None, None, Decision(CALL_MISSED)),
    ],
)
def test_evidence_in_the_form_decides_and_else_the_flag(
    connected: bool | None, flag: bool | None, expected: Decision
) -> None:
    assert decide(NOTHING, reading(connected=connected, flag=flag)) == expected


def test_an_earlier_answer_of_a_person_is_evidence() -> None:
    answered = after(reading("answered", connected=True))
    assert decide(answered, reading()) == Decision(CALL_COMPLETED)
    assert decide(answered, reading(flag=False)) == Decision(CALL_COMPLETED, contradiction=True)
    assert decide(answered, reading(connected=False)) == Decision(CALL_COMPLETED)


def test_an_earlier_answer_of_a_machine_is_none() -> None:
    assert decide(after(reading("answered")), reading(flag=False, cleared=True)) == Decision(CALL_MISSED)


def test_without_evidence_and_flag_a_normal_end_after_an_answer_means_answered() -> None:
    assert decide(after(reading("answered")), reading(cleared=True)) == Decision(CALL_COMPLETED)
    assert decide(after(reading("answered")), reading()) == Decision(CALL_MISSED)
    assert decide(after(reading("ringing")), reading(cleared=True)) == Decision(CALL_MISSED)


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        ("inbound", CALL_MISSED),
        ("outbound", CALL_UNANSWERED),
        ("internal", CALL_UNANSWERED),
        (None, CALL_UNANSWERED),
    ],
)
def test_only_an_inbound_call_is_missed(direction: Direction | None, expected: str) -> None:
    assert decide(NOTHING, reading(direction=direction, connected=False)).type == expected


def test_a_hangup_without_a_direction_takes_that_of_the_call() -> None:
    assert decide(after(reading("ringing")), reading(direction=None, connected=False)).type == CALL_MISSED


@pytest.mark.parametrize(
    ("connected", "flag", "expected"),
    [
        (None, None, LEG_ENDED),
        (False, None, LEG_ENDED),
        (None, False, LEG_ENDED),
        (False, True, LEG_ENDED),
        (True, None, CALL_COMPLETED),
        (True, False, CALL_COMPLETED),
        (None, True, CALL_COMPLETED),
    ],
)
def test_a_hangup_that_another_took_over_ends_a_leg_unless_it_was_answered(
    connected: bool | None, flag: bool | None, expected: str
) -> None:
    taken = reading(connected=connected, flag=flag, taken_over=True)
    assert decide(NOTHING, taken).type == expected
    answered_before = after(reading("answered", connected=True))
    assert decide(answered_before, taken).type == expected


def test_a_leg_that_ends_leaves_the_call_open() -> None:
    assert after(reading("leg_ended"), reading(taken_over=True)).ended is None


def test_a_second_hangup_is_kept_as_other() -> None:
    missed = after(reading(connected=False))
    assert decide(missed, reading(connected=True, flag=False)) == Decision(OTHER)
    assert decide(missed, reading(taken_over=True)) == Decision(LEG_ENDED)
    assert after(reading(connected=False), reading(connected=True)).ended == "missed"
