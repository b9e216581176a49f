"""What the outcome of attempts means for the targets: their health, and the troubles that somebody is told of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from bridge.health import Health, Place
from bridge.ids import new_id
from bridge.model import CONNECTOR_PAUSED, DELIVERY_DEAD, Event, Trouble, TroubleData
from bridge.store import schema
from bridge.store.arrivals import Route, event_row
from bridge.store.bulk import insert_rows, select_in
from bridge.store.deliveries import Ending, Owed, end, owe
from bridge.store.dialects import ANYTHING, dialect_of

_SAVE_HEALTH = (
    update(schema.connectors)
    .where(schema.connectors.c.name == bindparam("of_name"), schema.connectors.c.target == bindparam("of_target"))
    .values(health=bindparam("health"))
)


@dataclass(frozen=True, slots=True)
class Concluded:
    """What became of an ending: whether the lease was still held, how its target does now, and which places have been
    owed an event about a trouble."""

    ours: bool
    health: Health
    told: frozenset[Place] = frozenset()


class Outcomes:
    """The work of concluding attempts, for the store's writer. Troubles are stamped in `timezone`; `shift` says by how
    much the clock has jumped since a moment."""

    def __init__(self, route: Route, timezone: tzinfo, shift: Callable[[float], float]) -> None:
        self._route = route
        self._timezone = timezone
        self._shift = shift

    def conclude(self, connection: Connection, endings: Sequence[Ending]) -> list[Concluded]:
        """Write how deliveries ended and what that means for their targets.

        The health is folded inside the transaction, so that all processes on one store count the same failures.
        """
        endings = [ending.moved(jump) if (jump := self._shift(ending.at)) else ending for ending in endings]
        ours = end(connection, endings)
        names = {ending.claim.connector for ending in endings}
        before = load_healths(connection, names)
        after = _fold(before, ours.values())
        if after != before and not dialect_of(connection).has_one_writer:
            # Most endings change nothing, and then nobody waits for anybody. This one does: now nobody else may.
            before = load_healths(connection, names, lock=True)
            after = _fold(before, ours.values())
        now = max(ending.at for ending in endings)
        told = self._tell(connection, before, after, now)
        save_healths(connection, before, after)
        return [Concluded(ending.claim.id in ours, after.get(ending.claim.place, Health()), told) for ending in endings]

    def tell_dead(self, connection: Connection, moments: Sequence[float]) -> list[frozenset[Place]]:
        """Tell of dead deliveries that had to wait until an hour was over since the last telling."""
        before = load_healths(connection, None, lock=True)
        after = dict(before)
        told = self._tell(connection, before, after, max(moments))
        save_healths(connection, before, after)
        return [told] * len(moments)

    def emit(self, connection: Connection, troubles: Sequence[tuple[str, Trouble, float]]) -> list[frozenset[Place]]:
        """Keep troubles as events, owed to whoever asks for them: (event type, trouble, now)."""
        events = [_trouble_event(*trouble, self._timezone) for trouble in troubles]
        insert_rows(connection, schema.events, [event_row(event, None) for event in events])
        owed = [Owed(event, None, 0, connector, target) for event in events for connector, target in self._route(event)]
        owe(connection, owed, set(), None, troubles[0][2])
        told = frozenset(one.place for one in owed)
        return [told] * len(troubles)

    def _tell(
        self, connection: Connection, before: dict[Place, Health], after: dict[Place, Health], now: float
    ) -> frozenset[Place]:
        troubles = []
        for place, health in after.items():
            was = before.get(place, Health())
            if health.paused_by in ("misconfigured", "gone") and was.paused_by != health.paused_by:
                paused = Trouble(connector=place[0], reason=health.reason or "")
                troubles.append((CONNECTOR_PAUSED, paused, now))
        for name in sorted({name for name, _ in after}):
            of_name = {place: health for place, health in after.items() if place[0] == name}
            if count := sum(health.dead_to_tell(now) for health in of_name.values()):
                reason = next((one.last_error for one in of_name.values() if one.dead_untold and one.last_error), "")
                troubles.append((DELIVERY_DEAD, Trouble(connector=name, reason=reason, count=count), now))
                # Whichever target it was: nobody is told of the connector more often than that.
                after |= {place: health.told(now) for place, health in of_name.items()}
        return self.emit(connection, troubles)[0] if troubles else frozenset()


def _fold(healths: Mapping[Place, Health], endings: Iterable[Ending]) -> dict[Place, Health]:
    """How targets do after endings."""
    after = dict(healths)
    for ending in endings:
        place = ending.claim.place
        if ending.health is not None:
            after[place] = ending.health(after.get(place, Health()))
        if ending.state == "dead" and not ending.claim.event.type.startswith("bridge."):
            # A trouble that cannot be told makes none of its own: two broken chats would never fall silent.
            after[place] = after.get(place, Health()).died(1)
    return after


def load_healths(connection: Connection, names: set[str] | None, *, lock: bool = False) -> dict[Place, Health]:
    """How each target of the named connectors does (None: of all that the store knows). With `lock` nobody else changes
    that until the end of the transaction."""
    table = schema.connectors
    if names is None:
        query = select(table.c.name, table.c.target, table.c.health).order_by(table.c.name, table.c.target)
        rows: Iterable[Any] = connection.execute(query.with_for_update() if lock else query)
    else:
        rows = select_in(connection, table, ("name", "target", "health"), "name", sorted(names), lock=lock)
    return {(name, target): Health.from_json(health) for name, target, health in rows}


def save_healths(connection: Connection, before: dict[Place, Health], after: dict[Place, Health]) -> None:
    """Write the healths that have changed, each as a new version (in `after` too)."""
    rows = []
    for place, health in sorted(after.items()):
        if before.get(place) != health:
            after[place] = replace(health, version=health.version + 1)
            rows.append({"of_name": place[0], "of_target": place[1], "health": after[place].to_json()})
    if rows:
        connection.execute(_SAVE_HEALTH, rows)
        dialect_of(connection).announce(connection, ANYTHING, [""])


def make_places(connection: Connection, places: Collection[Place]) -> None:
    """Make the rows of the places that have none yet."""
    known = load_healths(connection, {name for name, _ in places})
    missing = [place for place in places if place not in known]
    rows = [
        {
            "name": name,
            "target": target,
            "health": Health.joining([health for place, health in known.items() if place[0] == name]).to_json(),
        }
        for name, target in sorted(missing)
    ]
    insert_rows(connection, schema.connectors, rows, replace=())


def change_health(connection: Connection, changes: Sequence[tuple[str, Callable[[Health], Health]]]) -> list[None]:
    """Change how a connector does, all targets of it (pause, resume): (name, change)."""
    before = load_healths(connection, {name for name, _ in changes}, lock=True)
    after = dict(before)
    for name, change in changes:
        after |= {place: change(health) for place, health in after.items() if place[0] == name}
    save_healths(connection, before, after)
    return [None] * len(changes)


def _trouble_event(event_type: str, trouble: Trouble, now: float, timezone: tzinfo) -> Event:
    at = datetime.fromtimestamp(now, timezone)
    return Event(
        id=new_id("evt", now), type=event_type, timestamp=at, data=TroubleData(received_at=at, trouble=trouble)
    )
