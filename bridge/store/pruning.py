"""Forgetting what is old: events nobody waits for with their deliveries and attempts, calls, quarantined posts, and
what connectors published that nobody can read any more.

What is old is looked for first, which may take a while and keeps nobody from writing; then it is deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, select

from bridge.store import channels, schema
from bridge.store.dialects import dialect_of

CHUNK = 500
"""Rows a transaction: the intake must not wait long for the lock."""

_events, _deliveries, _attempts = schema.events, schema.deliveries, schema.attempts
_calls, _quarantine = schema.calls, schema.quarantine
_WAITS = _deliveries.c.state == "pending"


@dataclass(frozen=True, slots=True)
class Old:
    """What may be forgotten: the keys of rows."""

    events: Sequence[str]
    calls: Sequence[str]
    quarantine: Sequence[str]

    def __bool__(self) -> bool:
        return bool(self.events or self.calls or self.quarantine)


def find_old(connection: Connection, before: float, limit: int = CHUNK) -> Old:
    """Up to `limit` rows of each table from before `before` (seconds since the epoch), the oldest first.

    What is still owed stays, however old: a delivery that waits, and its event. A call goes with its last event.
    """
    received_at = _events.c.received_at
    events = select(_events.c.id).where(received_at < before, _is_unowed(connection)).order_by(received_at)
    calls = select(_calls.c.key).where(
        _calls.c.first_received_at < before, _calls.c.last_received_at < before, _is_empty(connection)
    )
    quarantine = select(_quarantine.c.id).where(_quarantine.c.received_at < before)
    events_, calls_, quarantine_ = (
        connection.execute(query.limit(limit)).scalars().all() for query in (events, calls, quarantine)
    )
    return Old(events_, calls_, quarantine_)


def delete_old(connection: Connection, found: Sequence[Old]) -> list[dict[str, int]]:
    """Delete what was found, unless it is needed by now; returns how many rows of each table."""
    return [_delete(connection, one) for one in found]


def prune_some(connection: Connection, before: float) -> dict[str, int]:
    """Find and delete at once, up to a chunk of each table."""
    return {**_delete(connection, find_old(connection, before)), "feed": channels.sweep(connection, [before])[0]}


def _delete(connection: Connection, old: Old) -> dict[str, int]:
    of_old = select(_events.c.id, _events.c.call_key).where(_events.c.id.in_(old.events), _is_unowed(connection))
    events = {row.id: row.call_key for row in connection.execute(of_old)}
    calls = [*old.calls, *{key for key in events.values() if key is not None}]
    dialect_of(connection).lock_calls(connection, calls)  # no post revives one of them meanwhile
    of_events = select(_deliveries.c.id).where(_deliveries.c.event_id.in_(list(events)))
    doomed = {
        "attempts": delete(_attempts).where(_attempts.c.delivery_id.in_(of_events)),
        "deliveries": delete(_deliveries).where(_deliveries.c.event_id.in_(list(events)), ~_WAITS),
        "events": delete(_events).where(_events.c.id.in_(list(events)), _is_unowed(connection)),
        "calls": delete(_calls).where(_calls.c.key.in_(calls), _is_empty(connection)),
        "quarantine": delete(_quarantine).where(_quarantine.c.id.in_(old.quarantine)),
    }
    return {table: connection.execute(statement).rowcount for table, statement in doomed.items()}


def _is_unowed(connection: Connection) -> ColumnElement[bool]:
    """That an event is owed to nobody any more."""
    dialect = dialect_of(connection)
    waits = dialect.aside(_deliveries.c.state) == "pending"  # its deliveries are few, what waits may be much
    return dialect.finds_none(select(_deliveries.c.id).where(_deliveries.c.event_id == _events.c.id, waits))


def _is_empty(connection: Connection) -> ColumnElement[bool]:
    """That a call has no event any more."""
    return dialect_of(connection).finds_none(select(_events.c.id).where(_events.c.call_key == _calls.c.key))
