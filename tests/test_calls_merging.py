"""Merging: the facts of a call do not depend on the order in which its events arrive."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.calls import REMEMBERED_FORMS, CallRecord, decide, describe, happened_at, is_repeat, merge
from bridge.model import CALL_ANSWERED, CALL_MISSED, CALL_RINGING, ENDINGS, LEG_ENDED, OTHER, Facts, Reading

NOON = datetime(2026, 7, 25, 12, tzinfo=ZoneInfo("Europe/Istanbul"))
Form = tuple[str, Reading]

on_a_busy_machine = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

words = st.none() | st.sampled_from(["", "1001", "1002", "200", "905320000000"])
stamps = st.none() | st.integers(0, 5).map(lambda seconds: NOON + timedelta(seconds=seconds))
facts = st.builds(
    Facts,
    direction=st.sampled_from([None, "inbound", "outbound", "internal"]),
    caller=words,
    called=words,
    outside_number=words,
    dialed_user=words,
    connected_user=words,
    queue=words,
    started_at=stamps,
    answered_at=stamps,
    ended_at=stamps,
    duration=st.none() | st.integers(0, 9),
    cause=words,
    recording_present=st.sampled_from([None, True, False]),
)


def readings(kind: str, **evidence: st.SearchStrategy[bool | None]) -> st.SearchStrategy[Reading]:
    return st.builds(
        Reading, kind=st.just(kind), call_id=st.just("1"), tenant=st.none(), facts=facts, raw=st.just({}), **evidence
    )


@st.composite
def calls(draw: st.DrawFn) -> list[Form]:
    """The events of one call, of which nobody lies: the hangup's evidence or flag agrees with the answers."""
    taken = draw(st.booleans())
    somebody = st.sampled_from([True, None]) if taken else st.sampled_from([False, None])
    told: st.SearchStrategy[tuple[bool | None, bool | None]]
    told = st.tuples(st.just(taken), st.sampled_from([True, False, None])) | st.just((None, taken))
    connected, flag = draw(told)
    hangup = draw(readings("hangup"))
    known = replace(hangup.facts, direction=draw(st.sampled_from(["inbound", "outbound", "internal"])))
    events = [
        *draw(st.lists(readings("ringing"), max_size=4)),
        *draw(st.lists(readings("answered", connected=somebody), max_size=2)),
        *draw(st.lists(readings("leg_ended"), max_size=3)),
        *draw(st.lists(readings("other"), max_size=2)),
        *draw(
            st.lists(readings("hangup", taken_over=st.just(True), connected=st.sampled_from([False, None])), max_size=2)
        ),
        replace(hangup, facts=known, connected=connected, flag=flag),
    ]
    return [(f"form-{number}", reading) for number, reading in enumerate(events)]


def play(forms: Iterable[Form], *, window: float = 10.0) -> tuple[CallRecord, list[str]]:
    """What the bridge does with the posts of a call that come a second apart."""
    record, types = CallRecord(), []
    for second, (digest, reading) in enumerate(forms):
        if is_repeat(record, digest, received_at=second, window=window):
            continue
        event_type = decide(record, reading).type
        record = merge(record, reading, event_type, digest=digest, received_at=second)
        types.append(event_type)
    return record, types


@on_a_busy_machine
@given(st.data())
def test_shuffled_and_doubled_events_make_the_same_call(data: st.DataObject) -> None:
    forms = data.draw(calls())
    doubles = data.draw(st.lists(st.sampled_from(forms), max_size=4))
    shuffled = data.draw(st.permutations([*forms, *doubles]))
    window = data.draw(st.sampled_from([0.0, 2.0, 100.0]))

    record, _ = play(forms)
    other, _ = play(shuffled, window=window)

    assert replace(other, forms={}) == replace(record, forms={})
    assert record.ended is not None


anything = st.one_of(
    *(
        readings(
            kind,
            connected=st.sampled_from([True, False, None]),
            flag=st.sampled_from([True, False, None]),
            taken_over=st.booleans(),
            cleared=st.booleans(),
        )
        for kind in ("ringing", "answered", "hangup", "leg_ended", "other")
    )
)


@on_a_busy_machine
@given(st.lists(anything, max_size=5), anything)
def test_merging_what_is_known_already_changes_nothing(events: list[Reading], event: Reading) -> None:
    before, _ = play((str(number), reading) for number, reading in enumerate(events))
    event_type = decide(before, event).type
    once = merge(before, event, event_type, digest="again", received_at=0)
    assert merge(once, event, event_type, digest="again", received_at=0) == once


@on_a_busy_machine
@given(st.lists(anything, max_size=12))
def test_no_stream_of_events_ends_a_call_twice(events: list[Reading]) -> None:
    record, types = play((str(number), reading) for number, reading in enumerate(events))
    endings = [event_type for event_type in types if event_type in ENDINGS]
    assert [f"call.{record.ended}"] == endings if record.ended else not endings


@on_a_busy_machine
@given(st.lists(anything, max_size=8))
def test_a_record_survives_its_json(events: list[Reading]) -> None:
    record, _ = play((str(number), reading) for number, reading in enumerate(events))
    assert CallRecord.from_json(record.to_json()) == record


wild_stamps = st.none() | st.datetimes() | st.datetimes(timezones=st.timezones())
wild_facts = st.builds(
    Facts,
    **{name: st.none() | st.text() for name in ("caller", "called", "outside_number", "dialed_user", "queue", "cause")},
    **dict.fromkeys(("started_at", "answered_at", "ended_at"), wild_stamps),
    duration=st.none() | st.integers(),
)


@on_a_busy_machine
@given(anything, wild_facts, st.text())
def test_nothing_a_plugin_reports_breaks_the_merge(reading: Reading, said: Facts, digest: str) -> None:
    reading = replace(reading, facts=said)
    event_type = decide(CallRecord(), reading).type
    happened_at(reading, event_type)
    record = merge(CallRecord(), reading, event_type, digest=digest, received_at=0)
    assert CallRecord.from_json(record.to_json()) == record
    described = describe(
        record,
        call_id="1",
        region="TR",
        locale="en",
        timezone=ZoneInfo("Europe/Istanbul"),
        cause_text=str.lower,
    )
    assert (described.talk_seconds or 0) >= 0 or said.duration is not None
    assert (described.wait_seconds or 0) >= 0


# --- which form is believed ---------------------------------------------------------------------------------------


def said(kind: str, **known: object) -> Reading:
    return Reading(kind=kind, call_id="1", tenant=None, facts=Facts(**known), raw={})  # type: ignore[arg-type]


def value(record: CallRecord, name: str) -> object:
    return record.facts[name]


def test_the_ending_is_believed_before_the_answer_and_the_answer_before_the_first_ringing() -> None:
    late = said("ringing", queue="3", called="3", dialed_user="3", started_at=NOON + timedelta(seconds=9))
    early = said("ringing", queue="2", called="2", dialed_user="2", started_at=NOON)
    answer = said("answered", queue="1", called="1", answered_at=NOON + timedelta(seconds=12))
    hangup = said("hangup", queue="0")
    record, _ = play([("a", late), ("b", early), ("c", hangup), ("d", answer)])
    assert [value(record, name) for name in ("queue", "called", "dialed_user")] == ["0", "1", "2"]
    assert record.rang == {"2", "3"}


def test_a_persons_answer_is_believed_before_a_menus() -> None:
    menu = said("answered", answered_at=NOON)
    person = replace(said("answered", answered_at=NOON + timedelta(seconds=20), connected_user="1001"), connected=True)
    record, _ = play([("a", menu), ("b", person)])
    assert value(record, "answered_at") == (NOON + timedelta(seconds=20)).timestamp()


def test_the_end_of_a_leg_says_nothing_of_how_the_call_ended() -> None:
    told = Facts(
        "inbound", "0532", "1001", None, "1001", "1002", "200", NOON, NOON, NOON, 3, 4, "caller", "LOSE_RACE", True
    )
    record, types = play([("a", Reading("leg_ended", "1", None, told, {}))])
    assert set(record.facts) == {"direction", "caller", "called", "queue", "started_at", "dialed_user"}
    assert (types, sorted(record.rang)) == ([LEG_ENDED], ["1001"])


def test_a_second_hangup_adds_no_fact() -> None:
    first = replace(said("hangup", direction="inbound", cause="NO_ANSWER"), connected=False)
    second = replace(said("hangup", connected_user="1001", answered_at=NOON), connected=True)
    record, types = play([("a", first), ("b", second)])
    assert types == [CALL_MISSED, OTHER]
    assert set(record.facts) == {"direction", "cause"}
    assert (record.answered, record.ended) == (False, "missed")


def test_events_after_the_ending_complete_the_facts() -> None:
    hangup = replace(said("hangup", direction="inbound", ended_at=NOON), connected=False)
    record, types = play([("a", hangup), ("b", said("ringing", caller="0532", dialed_user="1001", started_at=NOON))])
    assert types == [CALL_MISSED, CALL_RINGING]
    assert (value(record, "caller"), sorted(record.rang), record.ended) == ("0532", ["1001"], "missed")


# --- repeats ------------------------------------------------------------------------------------------------------


def test_a_form_is_a_repeat_within_the_window_of_its_first_acceptance() -> None:
    record = merge(CallRecord(), said("ringing"), CALL_RINGING, digest="a", received_at=100)
    assert is_repeat(record, "a", received_at=110, window=10)
    assert is_repeat(record, "a", received_at=95, window=10)
    assert not is_repeat(record, "a", received_at=111, window=10)
    assert not is_repeat(record, "b", received_at=100, window=10)
    renewed = merge(record, said("ringing"), CALL_RINGING, digest="a", received_at=111)
    assert is_repeat(renewed, "a", received_at=121, window=10)


def test_a_hangup_is_a_repeat_for_ever() -> None:
    record, _ = play([("a", said("hangup"))])
    assert is_repeat(record, "a", received_at=1e9, window=10)


def test_old_forms_are_forgotten_but_hangups_are_not() -> None:
    many = [(f"r{number}", said("ringing")) for number in range(REMEMBERED_FORMS + 50)]
    record, _ = play([("end", said("hangup")), *many])
    assert len(record.forms) == REMEMBERED_FORMS
    assert "end" in record.forms
    assert "r0" not in record.forms
    assert many[-1][0] in record.forms


def test_an_event_happened_at_its_own_stamp() -> None:
    told = said("other", started_at=NOON, answered_at=NOON + timedelta(seconds=5), ended_at=NOON + timedelta(seconds=9))
    seconds = {
        event_type: (happened - NOON).total_seconds()
        for event_type in (CALL_RINGING, CALL_ANSWERED, *ENDINGS, LEG_ENDED, OTHER)
        if (happened := happened_at(told, event_type))
    }
    assert seconds == {CALL_RINGING: 0, CALL_ANSWERED: 5, **dict.fromkeys((*ENDINGS, LEG_ENDED, OTHER), 9)}
    assert happened_at(said("ringing", ended_at=NOON), CALL_RINGING) is None
    assert happened_at(said("other", started_at=datetime(1, 1, 1, tzinfo=UTC)), OTHER) is None


def test_which_of_two_forms_of_one_moment_is_believed_depends_neither_on_the_order_nor_on_the_call() -> None:
    told = [said("answered", queue=queue, connected_user="1001") for queue in ("4", "5", "6")]
    believed = set()
    for call_id in map(str, range(8)):
        for order in (told, told[::-1], [*told[1:], told[0]]):
            record = CallRecord()
            for number, reading in enumerate(order):
                reading = replace(reading, call_id=call_id)
                record = merge(record, reading, "call.answered", digest=f"{call_id}{number}", received_at=0)
            believed.add(value(record, "queue"))
    assert len(believed) == 1
