"""Forgetting what is old: events nobody waits for with their deliveries and attempts, calls, quarantined posts, and
what connectors published that nobody can read any more."""

from __future__ import annotations

from sqlalchemy import Connection, delete, exists, select

from bridge.store import channels, schema

CHUNK = 500
"""Rows a transaction: the intake must not wait long for the lock."""


def prune_some(connection: Connection, before: float) -> dict[str, int]:
    """Delete up to a chunk of each table's rows from before `before` (seconds since the epoch); returns how many.

    What is still owed stays, however old: a delivery that waits, and its event.
    """
    events, deliveries, attempts = schema.events, schema.deliveries, schema.attempts
    waits = exists().where(deliveries.c.event_id == events.c.id, deliveries.c.state == "pending")
    old = list(
        connection.execute(
            select(events.c.id).where(events.c.received_at < before, ~waits).order_by(events.c.received_at).limit(CHUNK)
        ).scalars()
    )
    of_old = select(deliveries.c.id).where(deliveries.c.event_id.in_(old))
    counts = {
        "attempts": connection.execute(delete(attempts).where(attempts.c.delivery_id.in_(of_old))).rowcount,
        "deliveries": connection.execute(delete(deliveries).where(deliveries.c.event_id.in_(old))).rowcount,
        "events": connection.execute(delete(events).where(events.c.id.in_(old))).rowcount,
    }
    calls, quarantine = schema.calls, schema.quarantine
    old_calls = select(calls.c.key).where(
        calls.c.first_received_at < before,
        calls.c.last_received_at < before,
        ~exists().where(events.c.call_key == calls.c.key),
    )
    counts["calls"] = connection.execute(delete(calls).where(calls.c.key.in_(old_calls.limit(CHUNK)))).rowcount
    old_posts = select(quarantine.c.id).where(quarantine.c.received_at < before).limit(CHUNK)
    counts["quarantine"] = connection.execute(delete(quarantine).where(quarantine.c.id.in_(old_posts))).rowcount
    counts["feed"] = channels.sweep(connection, [before])[0]
    return counts
