"""What only time does to deliveries: they grow too old, and who had claimed them may be dead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, func, or_, select, update

from bridge.store import schema
from bridge.store.deliveries import announce_due
from bridge.store.dialects import ANYTHING, dialect_of

_deliveries = schema.deliveries
_c = _deliveries.c


def expire(connection: Connection, limits: Sequence[tuple[str, float, float]]) -> list[int]:
    """End what has waited past its `max_age`: (connector, fresh before, now); returns how many each."""
    return [_expire(connection, *limit) for limit in limits]


def _expire(connection: Connection, connector: str, before: float, now: float) -> int:
    old = select(_c.id).where(
        _c.connector == connector,
        _c.state == "pending",
        _c.fresh_from < before,
        or_(_c.lease.is_(None), _c.due_at <= now),
    )
    chosen = _c.id.in_(old.with_for_update(skip_locked=True))
    change = update(_deliveries).where(chosen).values(state="expired", finished_at=now, lease=None)
    count = connection.execute(change).rowcount
    if count:
        announce_due(connection, [connector])  # what they have held back
    return count


def oldest_waiting(connection: Connection, connectors: Iterable[str]) -> dict[str, float]:
    """By connector: from when the oldest delivery that waits counts its age."""
    # One look at the index for each, instead of going through a whole backlog.
    ages = {name: connection.execute(_OLDEST, {"connector": name}).scalar() for name in connectors}
    return {name: age for name, age in ages.items() if age is not None}


_OLDEST = select(func.min(_c.fresh_from)).where(_c.connector == bindparam("connector"), _c.state == "pending")


def leases_held(connection: Connection) -> list[str]:
    """The leases under which something is claimed."""
    query = select(_c.lease).where(_c.state == "pending", _c.lease.is_not(None)).distinct()
    return [lease for lease in connection.execute(query).scalars() if lease is not None]


def release_leases(connection: Connection, dead: Sequence[Sequence[str]], now: float) -> list[int]:
    """Give back what was claimed under leases, so that it need not wait for their end; returns how many each."""
    counts = []
    for names in dead:
        theirs = select(_c.id).where(_c.state == "pending", _c.lease.in_(names)).with_for_update(skip_locked=True)
        change = update(_deliveries).where(_c.id.in_(theirs)).values(lease=None, due_at=now)
        counts.append(connection.execute(change).rowcount)
    dialect_of(connection).announce(connection, ANYTHING, [""])
    return counts
