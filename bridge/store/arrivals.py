"""Keeping what comes in: the event, the merged call and the deliveries it is owed to, in one transaction."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, update

from bridge.calls import CallRecord
from bridge.ids import new_id
from bridge.interpret import Arrival, Interpretation, Interpreter
from bridge.model import Event, Fields
from bridge.store import schema
from bridge.store.bulk import insert_rows, select_in
from bridge.store.deliveries import NO_DUES, Dues, Leasing, Owed, owe
from bridge.store.dialects import dialect_of

CROWD = 6
"""Posts in one transaction from which on they count as a crowd: they come as fast as they can be taken."""
CROWD_SECONDS = 0.05

Route = Callable[[Event], Sequence[tuple[str, str]]]
"""Which (connector, target) pairs an event is owed to."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of an arrival; `event` is None for a repeat, which is delivered to nobody.

    `contradiction`: the PBX's flag said otherwise than the evidence.
    """

    event: Event | None = None
    dues: Dues = NO_DUES
    contradiction: bool = False


@dataclass(frozen=True, slots=True)
class Aside:
    """A post no event could be made of, and why: its fields, or the body as text."""

    received_at: datetime
    source: str | None
    reason: str
    raw: Fields | str


@dataclass(slots=True)
class _Call:
    """A call within this transaction: as read, then as each arrival leaves it."""

    record: CallRecord
    events: int
    first_received_at: float
    stored: bool
    left: Interpretation | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    """An arrival that is kept: which one, of which call, at which position in it, and what it means."""

    index: int
    key: str
    position: int
    meaning: Interpretation


class Arrivals:
    """The work of accepting, for the store's writer."""

    def __init__(
        self, interpreter: Interpreter, route: Route, leasing: Leasing | None, clock: Callable[[], float]
    ) -> None:
        self._interpreter = interpreter
        self._route = route
        self._leasing = leasing
        self._clock = clock
        self._noted: dict[str, float] = {}
        self.crowded_until = 0.0
        """Until when posts count as coming in crowds (`time.monotonic`)."""

    def accept(self, connection: Connection, arrivals: Sequence[Arrival]) -> list[Accepted]:
        """Keep each arrival. A repeat changes nothing."""
        if len(arrivals) >= CROWD:
            self.crowded_until = time.monotonic() + CROWD_SECONDS
        keys = [_key(arrival) for arrival in arrivals]
        dialect_of(connection).lock_calls(connection, keys)
        calls = _load(connection, keys, arrivals)
        kept: list[_Kept] = []
        for index, (key, arrival) in enumerate(zip(keys, arrivals, strict=True)):
            call = calls[key]
            meaning = self._interpreter.interpret(call.record, arrival)
            if meaning is not None:
                kept.append(_Kept(index, key, call.events, meaning))
                call.record, call.left, call.events = meaning.record, meaning, call.events + 1
        _save_calls(connection, calls)
        insert_rows(connection, schema.events, [event_row(one.meaning.event, one.key) for one in kept])
        self._note_posts(connection, arrivals)
        _note_doubts(connection, [arrivals[one.index] for one in kept if one.meaning.contradiction])
        answers = [Accepted()] * len(arrivals)
        dues = self._owe(connection, kept, {key for key, call in calls.items() if call.stored})
        for one in kept:
            event = one.meaning.event
            answers[one.index] = Accepted(event, dues.get(event.id, NO_DUES), one.meaning.contradiction)
        return answers

    def _note_posts(self, connection: Connection, arrivals: Sequence[Arrival]) -> None:
        """When each source last posted, to the second: not every transaction need write it."""
        latest = {arrival.source.name: arrival.received_at.timestamp() for arrival in arrivals}
        for name, at in sorted(latest.items()):
            if abs(at - self._noted.get(name, 0.0)) >= 1.0:
                connection.execute(_NOTE_POST, {"of_name": name, "at": at})
                self._noted[name] = at

    def _owe(self, connection: Connection, kept: Sequence[_Kept], known: set[str]) -> Mapping[str, Dues]:
        owed = [
            Owed(
                event=one.meaning.event,
                call_key=one.key,
                position=one.position,
                connector=connector,
                target=target,
            )
            for one in kept
            if not one.meaning.late
            for connector, target in self._route(one.meaning.event)
        ]
        return owe(connection, owed, known, self._leasing, self._clock())


def keep_aside(connection: Connection, posts: Sequence[Aside]) -> list[None]:
    """Put posts no event could be made of aside."""
    insert_rows(
        connection,
        schema.quarantine,
        [
            {
                "id": new_id("qua", post.received_at.timestamp()),
                "received_at": post.received_at.timestamp(),
                "source": post.source,
                "reason": post.reason,
                "raw": json.dumps(post.raw),
            }
            for post in posts
        ],
    )
    return [None] * len(posts)


def event_row(event: Event, call_key: str | None) -> dict[str, object]:
    """The row of an event."""
    return {
        "id": event.id,
        "type": event.type,
        "source": event.data.source,
        "call_key": call_key,
        "received_at": event.data.received_at.timestamp(),
        "payload": event.to_json(),
    }


def _key(arrival: Arrival) -> str:
    return json.dumps([arrival.source.name, arrival.reading.tenant or "", arrival.reading.call_id])


def _load(connection: Connection, keys: Sequence[str], arrivals: Sequence[Arrival]) -> dict[str, _Call]:
    columns = ("key", "record", "events", "first_received_at")
    rows = select_in(connection, schema.calls, columns, "key", list(set(keys)))
    calls = {key: _Call(CallRecord.from_json(record), events, first, True) for key, record, events, first in rows}
    for key, arrival in zip(keys, arrivals, strict=True):
        if key not in calls:
            calls[key] = _Call(CallRecord(), 0, arrival.received_at.timestamp(), False)
    return calls


def _save_calls(connection: Connection, calls: Mapping[str, _Call]) -> None:
    rows = [_call_row(key, call, call.left) for key, call in calls.items() if call.left is not None]
    insert_rows(connection, schema.calls, rows, replace=_CHANGING)


def _call_row(key: str, call: _Call, left: Interpretation) -> dict[str, object]:
    data, outside = left.event.data, left.call.outside_party
    return {
        "key": key,
        "source": data.source,
        "tenant": data.tenant or "",
        "call_id": left.call.id,
        "record": call.record.to_json(),
        "call": left.call.model_dump_json(),
        "state": left.call.state,
        "events": call.events,
        "first_received_at": call.first_received_at,
        "last_received_at": data.received_at.timestamp(),
        "outside_party": outside and outside.e164,
    }


def _note_doubts(connection: Connection, doubts: Sequence[Arrival]) -> None:
    """That the flag of a source contradicted the evidence."""
    for doubt in sorted(doubts, key=lambda one: one.source.name):
        at, hint = doubt.received_at.timestamp(), doubt.reading.flag_hint
        connection.execute(_NOTE_DOUBT, {"of_name": doubt.source.name, "at": at, "hint": hint})


_CHANGING = ("record", "call", "state", "events", "last_received_at", "outside_party")
_OF_SOURCE = update(schema.sources).where(schema.sources.c.name == bindparam("of_name"))
_NOTE_POST = _OF_SOURCE.values(last_event_at=bindparam("at"))
_NOTE_DOUBT = _OF_SOURCE.values(
    contradictions=schema.sources.c.contradictions + 1,
    contradicted_at=bindparam("at"),
    contradiction_hint=bindparam("hint"),
)
