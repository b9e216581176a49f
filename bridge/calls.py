"""What the events of a call make of it: merging them, in any order, and deciding how the call ended.

Pure: no clock, no input or output. A `CallRecord` is what is remembered of a call between its events. For every fact it
holds the best claim so far, and claims are totally ordered, so that merging is commutative, associative and idempotent:
the facts do not depend on the order of arrival. Only the ending does: it is decided once, when the hangup comes, from
what is known by then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

from pydantic_core import from_json, to_json

from bridge.model import (
    CALL_ANSWERED,
    CALL_COMPLETED,
    CALL_MISSED,
    CALL_RINGING,
    CALL_UNANSWERED,
    ENDINGS,
    LEG_ENDED,
    OTHER,
    Call,
    Facts,
    Locale,
    Reading,
    State,
)
from bridge.phone import read_number

REMEMBERED_FORMS = 256
"""Forms of one call whose repeats are recognized; the oldest are forgotten first, hangups never."""

_EVENT_TYPE_OF_KIND = {"ringing": CALL_RINGING, "answered": CALL_ANSWERED, "leg_ended": LEG_ENDED, "other": OTHER}
_STATE_OF_ENDING: dict[str, State] = {
    CALL_COMPLETED: "completed",
    CALL_MISSED: "missed",
    CALL_UNANSWERED: "unanswered",
}

_STAMPS = ("started_at", "answered_at", "ended_at")
_STAMP_OF_TYPE = {
    CALL_RINGING: "started_at",
    CALL_ANSWERED: "answered_at",
    LEG_ENDED: "ended_at",
    **dict.fromkeys(ENDINGS, "ended_at"),
}
_NO_STAMP = 2.0**40
"""Seconds since 1970, later than any stamp: what carries no stamp comes last."""

_ENDING, _PERSON_ANSWERED, _ANSWERED, _RINGING, _LEG_ENDED, _OTHER = range(6)
_ALL_FACTS = tuple(fact.name for fact in fields(Facts))
_LIVING_FACTS = ("direction", "caller", "called", "outside_number", "queue", "started_at")
_FACTS_OF_RANK = {_LEG_ENDED: (*_LIVING_FACTS, "dialed_user"), _OTHER: _LIVING_FACTS}
"""A leg's end says nothing of how the call ends, only what is true of the call while it lives."""


Claims = Sequence[Any]
"""What one form says: [rank, stamp, digest, {fact: value}], plain as JSON has it. Of two forms that speak of one fact,
the one with the smaller (rank, stamp, digest) is believed. Times are seconds since 1970."""


@dataclass(frozen=True, slots=True)
class CallRecord:
    """What is remembered of a call between its events.

    `claims` are what the forms so far say and no better form says otherwise, the most believed first. `rang` holds
    every extension that rang. `answered` says that an answer has been seen, `connected` that one of them was a
    person's. `ended` is how the call ended, written once. `forms` says by digest when each accepted form was received
    (seconds since 1970); None for a hangup, whose repeats are recognized for ever.
    """

    claims: Sequence[Claims] = field(default_factory=list)
    rang: frozenset[str] = frozenset()
    answered: bool = False
    connected: bool = False
    ended: State | None = None
    forms: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """The value believed for each field of `Facts` that some form filled."""
        return {name: value for *_, values in self.claims for name, value in values.items()}

    def to_json(self) -> str:
        """One line of compact JSON; `from_json` reads it."""
        rang = sorted(self.rang)
        return to_json((self.claims, rang, self.answered, self.connected, self.ended, self.forms)).decode()

    @classmethod
    def from_json(cls, text: str) -> CallRecord:
        """Read what `to_json` wrote."""
        claims, rang, *rest = from_json(text)
        return cls(claims, frozenset(rang), *rest)


@dataclass(frozen=True, slots=True)
class Decision:
    """The type of the event a reading becomes; `contradiction`: the PBX's flag says otherwise than the evidence."""

    type: str
    contradiction: bool = False


def is_repeat(record: CallRecord, digest: str, *, received_at: float, window: float) -> bool:
    """Whether this very form has been accepted before: a hangup ever, any other within `window` seconds.

    `received_at` is in seconds since 1970. A repeat does not prolong the window: it is not merged.
    """
    if digest not in record.forms:
        return False
    accepted_at = record.forms[digest]
    # The wall clock may have been set back in between.
    return accepted_at is None or abs(received_at - accepted_at) <= window


def decide(record: CallRecord, reading: Reading) -> Decision:
    """What event a reading becomes, by what is known of its call when it comes (`record`, without this reading)."""
    if reading.kind != "hangup":
        return Decision(_EVENT_TYPE_OF_KIND[reading.kind])
    if reading.taken_over and not (reading.flag if reading.connected is None else reading.connected):
        return Decision(LEG_ENDED)
    if record.ended:
        return Decision(OTHER)
    evidence = True if reading.connected or record.connected else reading.connected
    if evidence is not None:
        answered = evidence
    elif reading.flag is not None:
        answered = reading.flag
    else:
        answered = reading.cleared and record.answered
    contradiction = evidence is not None and reading.flag is not None and reading.flag != evidence
    return Decision(_ending(record, reading, answered=answered), contradiction)


def _ending(record: CallRecord, reading: Reading, *, answered: bool) -> str:
    if answered:
        return CALL_COMPLETED
    direction = reading.facts.direction or record.facts.get("direction")
    return CALL_MISSED if direction == "inbound" else CALL_UNANSWERED


def merge(record: CallRecord, reading: Reading, event_type: str, *, digest: str, received_at: float) -> CallRecord:
    """The record with this reading in it.

    `event_type` is what `decide` said, `digest` a short hash of the form, `received_at` seconds since 1970.
    """
    dialed = reading.facts.dialed_user or ""
    answered = reading.kind == "answered"
    return replace(
        record,
        claims=_merge_claims(record.claims, reading, event_type),
        rang=record.rang | {dialed} if dialed.strip() else record.rang,
        answered=record.answered or answered,
        connected=record.connected or (answered and reading.connected is True),
        ended=record.ended or _STATE_OF_ENDING.get(event_type),
        forms=_remember(record.forms, digest, None if reading.kind == "hangup" else received_at),
    )


def _merge_claims(held: Sequence[Claims], reading: Reading, event_type: str) -> Sequence[Claims]:
    rank = _rank(reading, event_type)
    if rank is None:
        return held
    happened = happened_at(reading, event_type)
    said = {
        name: value
        for name in _FACTS_OF_RANK.get(rank, _ALL_FACTS)
        if (value := _said(getattr(reading.facts, name))) is not None
    }
    # Of two forms at the same moment one has to be believed, whatever came first: which, their facts alone decide.
    digest = blake2b(to_json(said), digest_size=6).hexdigest()
    claims = [*held, (rank, happened.timestamp() if happened else _NO_STAMP, digest, said)]
    claims.sort(key=lambda each: tuple(each[:3]))
    believed: list[Claims] = []
    known: set[str] = set()
    for *key, values in claims:
        news = {name: value for name, value in values.items() if name not in known}
        if news:
            believed.append([*key, news])
            known |= news.keys()
    return believed


def _said(value: Any) -> Any:
    """The value as it is kept; None for what says nothing."""
    if isinstance(value, datetime):
        return value.timestamp() if _is_believable(value) else None
    return None if isinstance(value, str) and not value.strip() else value


def _rank(reading: Reading, event_type: str) -> int | None:
    """How far a form is believed: the smaller, the more. None: a second hangup, which says nothing of the call."""
    if event_type in ENDINGS:
        return _ENDING
    if event_type == CALL_ANSWERED:
        # A menu or a queue answers before a person does, and people ask when the person did.
        return _PERSON_ANSWERED if reading.connected else _ANSWERED
    if event_type == CALL_RINGING:
        return _RINGING
    if event_type == LEG_ENDED:
        return _LEG_ENDED
    return None if reading.kind == "hangup" else _OTHER


def _is_believable(stamp: datetime) -> bool:
    """Whether a plugin's stamp can be shown in any zone; a naive or absurd one costs the stamp and not the call."""
    return stamp.tzinfo is not None and 1970 <= stamp.year <= 2999


def _remember(forms: Mapping[str, float | None], digest: str, received_at: float | None) -> Mapping[str, float | None]:
    remembered = {**forms, digest: received_at}
    if len(remembered) <= REMEMBERED_FORMS:
        return remembered
    oldest = next((known for known, at in remembered.items() if at is not None and known != digest), None)
    return {known: at for known, at in remembered.items() if known != oldest}


def happened_at(reading: Reading, event_type: str) -> datetime | None:
    """When an event happened by the PBX's stamps: its start, answer or end, the latest of them for `other`."""
    name = _STAMP_OF_TYPE.get(event_type)
    stamps = (getattr(reading.facts, stamp) for stamp in ((name,) if name else _STAMPS))
    return max((stamp for stamp in stamps if stamp is not None and _is_believable(stamp)), default=None)


def describe(
    record: CallRecord,
    *,
    call_id: str,
    region: str,
    locale: Locale,
    timezone: ZoneInfo,
    cause_text: Callable[[str], str | None],
) -> Call:
    """The call as people and programs see it.

    Times are shown in `timezone`; `cause_text` words the PBX's cause. `dialed_user` is the best claim, like any other
    fact; an event shows its own.
    """
    known = _known_facts(record, timezone)
    answered_at = _answered_at(record, known)
    return Call(
        id=call_id,
        direction=known.direction,
        state=record.ended or ("answered" if record.answered else "ringing"),
        caller=read_number(known.caller, region=region, locale=locale),
        called=read_number(known.called, region=region, locale=locale, dialled=known.direction)
        if known.called
        else None,
        outside_number=read_number(known.outside_number, region=region, locale=locale)
        if known.outside_number
        else None,
        dialed_user=known.dialed_user,
        connected_user=known.connected_user,
        rang=tuple(sorted(record.rang)),
        queue=known.queue,
        started_at=known.started_at,
        answered_at=answered_at,
        ended_at=known.ended_at if record.ended else None,
        talk_seconds=_talk_seconds(record, known),
        wait_seconds=_wait_seconds(record, known, answered_at),
        queue_wait_seconds=known.queue_wait,
        hung_up_by=known.hung_up_by,
        cause=known.cause,
        cause_text=cause_text(known.cause) if known.cause else None,
        recording_present=known.recording_present,
        failure_status=known.failure_status,
        failure_phrase=known.failure_phrase,
    )


def _known_facts(record: CallRecord, timezone: ZoneInfo) -> Facts:
    values = record.facts
    for name in _STAMPS:
        if name in values:
            values[name] = datetime.fromtimestamp(values[name], timezone)
    return Facts(**values)


def _answered_at(record: CallRecord, known: Facts) -> datetime | None:
    """When a person took the call; None where only a menu or a queue did, as far as is known."""
    if record.ended == "completed":
        return known.answered_at
    only_a_machine = known.direction == "inbound" and not record.connected and not known.connected_user
    return None if record.ended or only_a_machine else known.answered_at


def _talk_seconds(record: CallRecord, known: Facts) -> int | None:
    if record.ended != "completed":
        return 0 if record.ended else None
    # The stamps first: `duration` has meant the talk and the whole call, by the years.
    if known.answered_at and known.ended_at:
        return _seconds_between(known.answered_at, known.ended_at)
    return known.duration


def _wait_seconds(record: CallRecord, known: Facts, answered_at: datetime | None) -> int | None:
    waited_until = answered_at or (known.ended_at if record.ended not in (None, "completed") else None)
    return _seconds_between(known.started_at, waited_until) if known.started_at and waited_until else None


def _seconds_between(start: datetime, end: datetime) -> int:
    return max(0, int(end.timestamp() - start.timestamp()))
