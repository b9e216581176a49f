"""Replaying: the schedule and `max_age` start anew, the event id and the history stay."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, case, or_, select, update

from bridge.store.deliveries import announce_due
from bridge.store.schema import deliveries

_c = deliveries.c


def replay_ids(connection: Connection, ids: Sequence[str], now: float) -> list[str]:
    """Replay deliveries by their own ids or by the id of their event; returns the ids of those replayed."""
    return _replay(connection, or_(_c.id.in_(ids), _c.event_id.in_(ids)), now)


def replay_dead(connection: Connection, connector: str | None, now: float) -> list[str]:
    """Replay every dead delivery (of one connector, if it is named); returns their ids."""
    chosen = _c.state == "dead"
    return _replay(connection, chosen if connector is None else chosen & (_c.connector == connector), now)


def known_ids(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Which of these are ids of deliveries, or of events that have some."""
    rows = connection.execute(select(_c.id, _c.event_id).where(or_(_c.id.in_(ids), _c.event_id.in_(ids))))
    return {known for row in rows for known in (row.id, row.event_id)} & set(ids)


def _replay(connection: Connection, chosen: ColumnElement[bool], now: float) -> list[str]:
    # What is being tried at this moment keeps its lease: its turn goes on, with the schedule begun anew.
    in_flight = (_c.state == "pending") & _c.lease.is_not(None) & (_c.due_at > now)
    # Locked in one order, as they are where attempts end.
    of_ids = select(_c.id).where(chosen).order_by(_c.id).with_for_update()
    statement = (
        update(deliveries)
        .where(_c.id.in_(of_ids))
        .values(
            state="pending",
            step=0,
            fresh_from=now,
            hold_until=None,
            finished_at=None,
            lease=case((in_flight, _c.lease), else_=None),
            due_at=case((in_flight, _c.due_at), else_=now),
        )
        .returning(_c.id, _c.connector)
    )
    replayed = connection.execute(statement).all()
    announce_due(connection, [row.connector for row in replayed])
    return [row.id for row in replayed]
