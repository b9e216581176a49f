"""Claiming deliveries: what is due is leased to a process, the new before the backlog, and each call in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, func, literal_column, or_, select, update

from bridge.health import Health, Place
from bridge.model import Event
from bridge.store import schema
from bridge.store.bulk import select_in
from bridge.store.deliveries import NEW_SECONDS, Claim, new_lease
from bridge.store.dialects import Dialect, dialect_of

_deliveries = schema.deliveries
_c = _deliveries.c


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """Ask for up to `limit` due deliveries to a target, leased for `seconds` under `token`.

    A `probe` is refused while any other delivery to the target is leased. `health_version` is what the asker knows
    of its health: if the store knows better, he is refused, as it may just have been paused.
    """

    place: Place
    limit: int
    token: str
    seconds: float
    now: float
    probe: bool = False
    health_version: int | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """The claims, oldest due first. `next_due` is when something more becomes due, None where nothing waits; `blocked`:
    something is due but waits for an earlier event of its call; `outdated`: refused, read the health anew."""

    claims: tuple[Claim, ...] = ()
    next_due: float | None = None
    blocked: bool = False
    outdated: bool = False


def claim(connection: Connection, requests: Sequence[ClaimRequest]) -> list[Claimed]:
    """Lease what is due, each target for itself; of a call only the first that waits."""
    return [_claim(connection, request) for request in requests]


_WAITS = and_(
    _c.connector == bindparam("connector"), _c.target == bindparam("target"), _c.state == literal_column("'pending'")
)
_IS_DUE = and_(_WAITS, _c.due_at <= bindparam("now"))


@cache
def _what_is_due(dialect: Dialect) -> Select[Any]:
    """What may be claimed, oldest due first; of a call only what no earlier event of it holds back."""
    # Ordered by no more than that: of a whole outage that is due at once, each claim would sort all.
    return _claimable(dialect).where(_IS_DUE).order_by(_c.due_at)


@cache
def _what_is_new(dialect: Dialect) -> Select[Any]:
    """The same of what came in just now, which goes before a backlog.

    Found by its age: the expressions keep the other index out, in which the whole backlog would have to be gone
    through.
    """
    return (
        _claimable(dialect)
        .where(
            _c.connector == bindparam("connector"),
            _c.target.concat("") == bindparam("target"),
            _c.state == literal_column("'pending'"),
            _c.due_at + 0 <= bindparam("now"),
            _c.fresh_from > bindparam("since"),
            _c.attempts == 0,
        )
        .order_by(_c.fresh_from)
    )


def _claimable(dialect: Dialect) -> Select[Any]:
    """Deliveries, with their events, that no earlier event of their call holds back."""
    earlier = _deliveries.alias("earlier")
    held_back = select(earlier.c.id).where(
        dialect.waits(earlier),
        earlier.c.call_key == _c.call_key,
        dialect.aside(earlier.c.connector) == _c.connector,
        dialect.aside(earlier.c.target) == _c.target,
        earlier.c.position < _c.position,
        or_(earlier.c.hold_until.is_(None), earlier.c.hold_until > bindparam("now")),
    )
    held_back = held_back.correlate(_deliveries)
    return (
        select(_deliveries, schema.events.c.payload)
        .join(schema.events, schema.events.c.id == _c.event_id)
        .where(dialect.finds_none(held_back))
        .limit(bindparam("limit"))
        # What another process claims at this moment is his; where there are many writers.
        .with_for_update(of=_deliveries, skip_locked=True)
    )


_SOMETHING_DUE = select(_c.id).where(_IS_DUE).limit(1)
_NEXT_DUE = select(func.min(_c.due_at)).where(_WAITS, _c.due_at > bindparam("now"))
_LEASED = select(_c.id).where(_WAITS, _c.due_at > bindparam("now"), _c.lease.is_not(None))
_LEASE = (
    update(_deliveries)
    .where(_c.id.in_(bindparam("ids", expanding=True)))
    # While it is tried, it holds back the later events of its call again.
    .values(lease=bindparam("token"), due_at=bindparam("until"), hold_until=None)
)


def _is_outdated(connection: Connection, request: ClaimRequest) -> bool:
    known = request.health_version
    if known is None and not request.probe:
        return False
    # Whoever probes does so alone: the next one sees what he has leased.
    connector, wanted = request.place
    columns = ("target", "health")
    rows = select_in(connection, schema.connectors, columns, "name", [connector], lock=request.probe)
    return known is not None and any(
        Health.from_json(health).version > known for target, health in rows if target == wanted
    )


def _claim(connection: Connection, request: ClaimRequest) -> Claimed:
    if _is_outdated(connection, request):
        return Claimed(outdated=True)
    due = {"connector": request.place[0], "target": request.place[1], "now": request.now}
    if request.probe and connection.execute(_LEASED.limit(1), due).first() is not None:
        return Claimed(next_due=connection.execute(_NEXT_DUE, due).scalar())
    lease = new_lease(request.token)
    until = request.now + request.seconds
    rows: list[Any] = []
    since = {"since": request.now - NEW_SECONDS}
    dialect = dialect_of(connection)
    # The backlog has its half in any case, where there is more than one turn.
    for query, limit in ((_what_is_new(dialect), (request.limit + 1) // 2), (_what_is_due(dialect), request.limit)):
        found = connection.execute(query, due | since | {"limit": limit - len(rows)}).all()
        if found:
            connection.execute(_LEASE, {"ids": [row.id for row in found], "token": lease, "until": until})
            rows += found
    blocked = len(rows) < request.limit and connection.execute(_SOMETHING_DUE, due).first() is not None
    claims = tuple(_claim_of(row, lease) for row in rows)
    return Claimed(claims, connection.execute(_NEXT_DUE, due).scalar(), blocked)


def _claim_of(row: Any, lease: str) -> Claim:
    return Claim(
        id=row.id,
        connector=row.connector,
        target=row.target,
        event=Event.from_json(row.payload),
        attempts=row.attempts,
        step=row.step,
        fresh_from=row.fresh_from,
        lease=lease,
        contact=row.contact,
    )


_ONE_DUE = (
    select(_deliveries, schema.events.c.payload)
    .join(schema.events, schema.events.c.id == _c.event_id)
    .where(_c.id == bindparam("of_id"), _c.state == "pending", _c.due_at <= bindparam("now"))
    .with_for_update(of=_deliveries, skip_locked=True)
)


def claim_one(connection: Connection, requests: Sequence[tuple[str, str, float, float]]) -> list[Claim | None]:
    """Lease single deliveries, if they are due: (id, token, seconds, now); None for one that is not."""
    claims: list[Claim | None] = []
    for delivery, token, seconds, now in requests:
        lease = new_lease(token)
        row = connection.execute(_ONE_DUE, {"of_id": delivery, "now": now}).first()
        if row is not None:
            connection.execute(_LEASE, {"ids": [delivery], "token": lease, "until": now + seconds})
        claims.append(_claim_of(row, lease) if row is not None else None)
    return claims
