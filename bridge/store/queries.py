"""Reading the store for people and programs: newest last, like a log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select

from bridge.store import schema

NO_DELIVERIES: Mapping[str, Any] = {"waiting": 0, "dead": 0, "last_success": None}


def events(connection: Connection, *, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """Every event in its public JSON form, by the time it was received."""
    table = schema.events
    query = select(table.c.payload).order_by(table.c.received_at, table.c.id)
    for row in _newest(connection, query, limit):
        yield json.loads(row.payload)


def calls(
    connection: Connection, *, state: str | None = None, since: float | None = None, limit: int | None = None
) -> Iterator[dict[str, Any]]:
    """Calls as they stand now (`data.call` of an event), by the time their first event was received.

    `since` (seconds since the epoch) keeps those that had an event from then on.
    """
    table = schema.calls
    query = select(table.c.call).order_by(table.c.first_received_at, table.c.key)
    if state is not None:
        query = query.where(table.c.state == state)
    if since is not None:
        query = query.where(table.c.last_received_at >= since)
    for row in _newest(connection, query, limit):
        yield json.loads(row.call)


def calls_with(connection: Connection, e164: str, limit: int) -> list[str]:
    """The last calls with an outside number, as they stand now (JSON), the newest first."""
    table = schema.calls
    query = select(table.c.call).where(table.c.outside_party == e164)
    return list(connection.execute(query.order_by(table.c.first_received_at.desc()).limit(limit)).scalars())


def deliveries(
    connection: Connection, *, state: str | None = None, connector: str | None = None, limit: int | None = None
) -> Iterator[dict[str, Any]]:
    """Deliveries, in the order they were owed."""
    table = schema.deliveries
    query = select(table).order_by(table.c.id)
    if state is not None:
        query = query.where(table.c.state == state)
    if connector is not None:
        query = query.where(table.c.connector == connector)
    for row in _newest(connection, query, limit):
        waits = row.state == "pending" and row.lease is None
        yield {
            "id": row.id,
            "event_id": row.event_id,
            "event_type": row.event_type,
            "call_id": row.call_id,
            "connector": row.connector,
            "state": row.state,
            "attempts": row.attempts,
            "next_attempt_at": iso(row.due_at) if waits else None,
            "last_error": row.last_error,
            "receipt": row.receipt,
            "target": row.target or None,
        }


def attempts(
    connection: Connection, *, delivery_id: str | None = None, limit: int | None = None
) -> Iterator[dict[str, Any]]:
    """Every try to deliver, by the time it began (of one delivery, if it is named); `seconds` is how long it took."""
    table, of = schema.attempts, schema.deliveries
    query = select(table, of.c.connector).join(of, of.c.id == table.c.delivery_id).order_by(table.c.id)
    if delivery_id is not None:
        query = query.where(table.c.delivery_id == delivery_id)
    for row in _newest(connection, query, limit):
        yield {
            "delivery_id": row.delivery_id,
            "connector": row.connector,
            "number": row.number,
            "started_at": iso(row.started_at),
            "seconds": round(row.seconds, 3),
            "outcome": row.outcome,
            "status": row.status,
            "error": row.error,
            "answer": row.answer,
        }


def quarantine(connection: Connection, *, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """Posts no event could be made of, by the time they were received."""
    table = schema.quarantine
    query = select(table).order_by(table.c.received_at, table.c.id)
    for row in _newest(connection, query, limit):
        yield {"received_at": iso(row.received_at), "reason": row.reason, "raw": json.loads(row.raw)}


def tallies(connection: Connection) -> dict[str, dict[str, Any]]:
    """By connector: how many deliveries wait and are dead, and when one last went through (ISO 8601, UTC)."""
    table = schema.deliveries
    tally: dict[str, dict[str, Any]] = {}
    counted = select(
        table.c.connector, table.c.state, func.count().label("n"), func.max(table.c.finished_at).label("last")
    )
    for row in connection.execute(counted.group_by(table.c.connector, table.c.state)):
        entry = tally.setdefault(row.connector, dict(NO_DELIVERIES))
        if row.state == "pending":
            entry["waiting"] = row.n
        elif row.state == "dead":
            entry["dead"] = row.n
        elif row.state == "delivered":
            entry["last_success"] = iso(row.last)
    return tally


def waiting(connection: Connection, connectors: Iterable[str]) -> dict[str, int]:
    """By connector: how many deliveries wait."""
    table = schema.deliveries
    count = select(func.count()).where(table.c.connector == bindparam("name"), table.c.state == "pending")
    return {name: connection.execute(count, {"name": name}).scalar_one() for name in connectors}


def sources(connection: Connection) -> dict[str, Mapping[str, Any]]:
    """What is known of each source: the row of its name."""
    return {row["name"]: dict(row) for row in connection.execute(select(schema.sources)).mappings()}


def _newest(connection: Connection, query: Select[Any], limit: int | None) -> Iterator[Any]:
    """The rows of the query; with a limit, only the last of them, still in its order."""
    if limit is None:
        yield from connection.execution_options(yield_per=500).execute(query)
        return
    order = [clause.desc() for clause in query._order_by_clauses]
    yield from reversed(connection.execute(query.order_by(None).order_by(*order).limit(limit)).all())


def iso(at: float | None) -> str | None:
    """A moment (seconds since the epoch) in ISO 8601, UTC, to the millisecond."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
