"""Deliveries in the store: owed, ended, released. How they are claimed stands in claiming.py.

A claim is a lease with a token. Every write that ends an attempt names the token, so that a worker which was stopped
and wakes after its lease cannot overwrite its successor; a lease that nobody ends is over by itself at `due_at`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sqlalchemy import (
    Connection,
    bindparam,
    update,
)

from bridge.health import Health, Place
from bridge.ids import new_id
from bridge.model import Event
from bridge.store import schema
from bridge.store.bulk import insert_rows, select_in, update_rows
from bridge.store.dialects import DUE, dialect_of

NEW_SECONDS = 10.0
"""Seconds for which what has come in counts as new, and goes before what waits."""

_deliveries = schema.deliveries
_c = _deliveries.c
_IS_PENDING = "state = 'pending'"


@dataclass(frozen=True, slots=True)
class Owed:
    """An event that is owed to one target of one connector. `call_key` is None for the bridge's own troubles."""

    event: Event
    call_key: str | None
    position: int
    connector: str
    target: str

    @property
    def place(self) -> Place:
        """Whom it is owed to."""
        return self.connector, self.target

    @property
    def fresh_from(self) -> float:
        """Age counts from when the bridge got the post."""
        return self.event.data.received_at.timestamp()


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery leased to this process under the token `lease`. `contact` is what a former try has looked up, JSON."""

    id: str
    connector: str
    target: str
    event: Event
    attempts: int
    step: int
    fresh_from: float
    lease: str
    contact: str | None = None

    @property
    def place(self) -> Place:
        """Whom it is owed to."""
        return self.connector, self.target

    def is_new(self, now: float) -> bool:
        """Whether it has come in just now, and so goes before what waits."""
        return self.attempts == 0 and self.fresh_from > now - NEW_SECONDS


@dataclass(frozen=True, slots=True)
class Leasing:
    """How deliveries may be leased to this process as they are inserted.

    `room` says how many a target can take right now, `seconds` how long its leases are.
    """

    token: str
    room: Callable[[Place], int]
    seconds: Callable[[Place], float]


@dataclass(frozen=True, slots=True)
class Dues:
    """What became of the deliveries of one event: claimed by this process, or waiting to be."""

    claims: tuple[Claim, ...] = ()
    waiting: frozenset[Place] = frozenset()


NO_DUES = Dues()


def owe(
    connection: Connection, owed: Sequence[Owed], known_calls: set[str], leasing: Leasing | None, now: float
) -> dict[str, Dues]:
    """Insert a delivery for each; returns the dues by event id.

    Where the target has room and no earlier event of the call waits for the same target, the delivery is inserted
    already leased: that saves the claim's commit and the wait for it. `known_calls` had events before.
    """
    busy = _waiting_targets(connection, {one.call_key for one in owed if one.call_key in known_calls})
    left: dict[Place, int] = {}
    rows, dues = [], dict[str, Dues]()
    for one in owed:
        room = left.setdefault(one.place, leasing.room(one.place) if leasing else 0)
        in_order = (one.call_key, *one.place)
        claim = None
        if leasing and room > 0 and (one.call_key is None or in_order not in busy):
            left[one.place] = room - 1
            claim = _fresh_claim(one, leasing, now)
        busy.add(in_order)
        rows.append(_row(one, claim, now + leasing.seconds(one.place) if claim and leasing else now))
        had = dues.get(one.event.id, NO_DUES)
        dues[one.event.id] = (
            Dues((*had.claims, claim), had.waiting) if claim else Dues(had.claims, had.waiting | {one.place})
        )
    insert_rows(connection, _deliveries, rows)
    announce_due(connection, [name for due in dues.values() for name, _ in due.waiting])
    return dues


def announce_due(connection: Connection, connectors: Iterable[str]) -> None:
    """Tell the other processes that something is due for connectors."""
    dialect_of(connection).announce(connection, DUE, connectors)


def _waiting_targets(connection: Connection, calls: set[str | None]) -> set[tuple[str | None, str, str]]:
    columns = ("call_key", "connector", "target")
    waiting = dialect_of(connection).waiting
    return {tuple(row) for row in select_in(connection, _deliveries, columns, "call_key", list(calls), waiting)}


def _fresh_claim(owed: Owed, leasing: Leasing, now: float) -> Claim:
    return Claim(
        id=new_id("dlv", now),
        connector=owed.connector,
        target=owed.target,
        event=owed.event,
        attempts=0,
        step=0,
        fresh_from=owed.fresh_from,
        lease=new_lease(leasing.token),
    )


def new_lease(token: str) -> str:
    """A lease of the process `token`, told apart from its others: a claim of its own can outlive its lease, too."""
    return f"{token}.{secrets.token_hex(4)}"


def _row(owed: Owed, claim: Claim | None, due_at: float) -> dict[str, object]:
    return {
        "id": claim.id if claim else new_id("dlv", due_at),
        "event_id": owed.event.id,
        "event_type": owed.event.type,
        "call_key": owed.call_key,
        "call_id": owed.event.call.id if owed.event.call else None,
        "position": owed.position,
        "connector": owed.connector,
        "target": owed.target,
        "state": "pending",
        "attempts": 0,
        "step": 0,
        "due_at": due_at,
        "lease": claim.lease if claim else None,
        "fresh_from": owed.fresh_from,
    }


# --- ending an attempt --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: when it began (seconds since the epoch), how long it took (seconds), what came of it."""

    started_at: float
    seconds: float
    outcome: str
    status: int | None = None
    error: str | None = None
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How this process's turn with a delivery ends: the state it leaves, and the attempt, where there was one.

    For a delivery that stays pending `due_at` is its next turn and `hold_until` how long it holds back the later events
    of its call. `health` is what the outcome means for the target; None: nothing.
    """

    claim: Claim
    state: str
    at: float
    attempt: Attempt | None = None
    step: int = 0
    due_at: float = 0.0
    hold_until: float | None = None
    receipt: str | None = None
    contact: str | None = None
    health: Callable[[Health], Health] | None = None

    def moved(self, jump: float) -> Ending:
        """The same after the clock has jumped by so many seconds."""
        meaning = self.health
        return replace(
            self,
            at=self.at + jump,
            due_at=self.due_at + jump,
            hold_until=None if self.hold_until is None else self.hold_until + jump,
            attempt=self.attempt and replace(self.attempt, started_at=self.attempt.started_at + jump),
            health=meaning and (lambda health: meaning(health.moved(-jump)).moved(jump)),
        )


def end(connection: Connection, endings: Sequence[Ending]) -> dict[str, Ending]:
    """Write how deliveries ended, but only those whose lease is still held; returns what was written, by their ids."""
    columns = ("id", "lease", "fresh_from", "last_error", "contact")
    ids = [ending.claim.id for ending in endings]
    held = {
        row[0]: _Held(*row[1:])
        for row in select_in(connection, _deliveries, columns, "id", ids, _IS_PENDING, lock=True)
    }
    ours = [
        ending if held[ending.claim.id].fresh_from == ending.claim.fresh_from else _begun_anew(ending)
        for ending in endings
        if ending.claim.id in held and held[ending.claim.id].lease == ending.claim.lease
    ]
    update_rows(connection, _deliveries, [_ended_row(ending, held[ending.claim.id]) for ending in ours])
    tried = [_attempt_row(ending.claim, ending.attempt) for ending in ours if ending.attempt]
    insert_rows(connection, schema.attempts, tried)
    return {ending.claim.id: ending for ending in ours}


class _Held(NamedTuple):
    """What the store has of a delivery whose try has ended."""

    lease: str | None
    fresh_from: float
    last_error: str | None
    contact: str | None


def _begun_anew(ending: Ending) -> Ending:
    """The ending of a try during which the delivery was replayed: unless it went through, the next try is the first."""
    if ending.state in ("delivered", "skipped"):
        return ending
    return replace(ending, state="pending", step=0, due_at=ending.at, hold_until=None)


def _ended_row(ending: Ending, held: _Held) -> Mapping[str, object]:
    attempt = ending.attempt
    went_through = ending.state in ("delivered", "skipped")
    return {
        "id": ending.claim.id,
        "state": ending.state,
        "attempts": ending.claim.attempts + (1 if attempt else 0),
        "step": ending.step,
        "due_at": ending.due_at,
        "hold_until": ending.hold_until,
        "lease": None,
        "finished_at": None if ending.state == "pending" else ending.at,
        # The error of an earlier try is still the last one, unless it has gone through since.
        "last_error": None if went_through else (attempt and attempt.error) or held.last_error,
        "receipt": ending.receipt,
        "contact": ending.contact or held.contact,
    }


def _attempt_row(claim: Claim, attempt: Attempt) -> Mapping[str, object]:
    return {
        "id": new_id("att", attempt.started_at),
        "delivery_id": claim.id,
        "number": claim.attempts + 1,
        "started_at": attempt.started_at,
        "seconds": attempt.seconds,
        "outcome": attempt.outcome,
        "status": attempt.status,
        "error": attempt.error,
        "answer": attempt.answer,
    }


_RELEASE = (
    update(_deliveries)
    .where(_c.id == bindparam("of_id"), _c.lease == bindparam("token"), _c.state == "pending")
    .values(lease=None, due_at=bindparam("now"))
)


def release(connection: Connection, claims: Sequence[Claim], now: float) -> list[None]:
    """Give claims back untried, due at once."""
    rows = [{"of_id": claim.id, "token": claim.lease, "now": now} for claim in claims]
    connection.execute(_RELEASE, sorted(rows, key=lambda row: str(row["of_id"])))
    announce_due(connection, [claim.connector for claim in claims])
    return [None] * len(claims)
