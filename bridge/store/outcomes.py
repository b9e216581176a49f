"""What the outcome of attempts means for the connectors: their health, and the troubles that somebody is told of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from bridge.health import Health
from bridge.ids import new_id
from bridge.model import CONNECTOR_PAUSED, DELIVERY_DEAD, Event, Trouble, TroubleData
from bridge.store import schema
from bridge.store.arrivals import Route, event_row
from bridge.store.bulk import insert_rows, select_in
from bridge.store.deliveries import Ending, Owed, end, owe

_SAVE_HEALTH = (
    update(schema.connectors).where(schema.connectors.c.name == bindparam("of_name")).values(health=bindparam("health"))
)


@dataclass(frozen=True, slots=True)
class Concluded:
    """What became of an ending: whether the lease was still held, how its connector does now, and which connectors have
    been owed an event about a trouble."""

    ours: bool
    health: Health
    told: frozenset[str] = frozenset()


class Outcomes:
    """The work of concluding attempts, for the store's writer."""

    def __init__(self, route: Route) -> None:
        self._route = route

    def conclude(self, connection: Connection, endings: Sequence[Ending]) -> list[Concluded]:
        """Write how deliveries ended and what that means for their connectors.

        The health is folded inside the transaction, so that all processes on one store count the same failures.
        """
        ours = end(connection, endings)
        before = load_healths(connection, {ending.claim.connector for ending in endings})
        after = dict(before)
        for ending in ours.values():
            name = ending.claim.connector
            if ending.health is not None:
                after[name] = ending.health(after.get(name, Health()))
            if ending.state == "dead" and not ending.claim.event.type.startswith("bridge."):
                # A trouble that cannot be told makes none of its own: two broken chats would never fall silent.
                after[name] = after[name].died(1)
        now = max(ending.at for ending in endings)
        told = self._tell(connection, before, after, now)
        save_healths(connection, before, after)
        return [
            Concluded(ending.claim.id in ours, after.get(ending.claim.connector, Health()), told) for ending in endings
        ]

    def tell_dead(self, connection: Connection, moments: Sequence[float]) -> list[frozenset[str]]:
        """Tell of dead deliveries that had to wait until an hour was over since the last telling."""
        before = load_healths(connection, None)
        after = dict(before)
        told = self._tell(connection, before, after, max(moments))
        save_healths(connection, before, after)
        return [told] * len(moments)

    def emit(self, connection: Connection, troubles: Sequence[tuple[str, Trouble, float]]) -> list[frozenset[str]]:
        """Keep troubles as events, owed to whoever asks for them: (event type, trouble, now)."""
        events = [_trouble_event(*trouble) for trouble in troubles]
        insert_rows(connection, schema.events, [event_row(event, None) for event in events])
        owed = [Owed(event, None, 0, connector, target) for event in events for connector, target in self._route(event)]
        owe(connection, owed, set(), None, troubles[0][2])
        told = frozenset(one.connector for one in owed)
        return [told] * len(troubles)

    def _tell(
        self, connection: Connection, before: dict[str, Health], after: dict[str, Health], now: float
    ) -> frozenset[str]:
        troubles = []
        for name, health in after.items():
            if (
                health.paused_by in ("misconfigured", "gone")
                and before.get(name, Health()).paused_by != health.paused_by
            ):
                paused = Trouble(connector=name, reason=health.reason or "")
                troubles.append((CONNECTOR_PAUSED, paused, now))
            if count := health.dead_to_tell(now):
                dead = Trouble(connector=name, reason=health.last_error or "", count=count)
                troubles.append((DELIVERY_DEAD, dead, now))
                after[name] = health.told(now)
        return self.emit(connection, troubles)[0] if troubles else frozenset()


def load_healths(connection: Connection, names: set[str] | None) -> dict[str, Health]:
    """How the named connectors do (None: all that the store knows)."""
    table = schema.connectors
    if names is None:
        rows: Iterable[Any] = connection.execute(select(table.c.name, table.c.health))
    else:
        rows = select_in(connection, table, ("name", "health"), "name", sorted(names))
    return {name: Health.from_json(health) for name, health in rows}


def save_healths(connection: Connection, before: dict[str, Health], after: dict[str, Health]) -> None:
    """Write the healths that have changed, each as a new version (in `after` too)."""
    rows = []
    for name, health in sorted(after.items()):
        if before.get(name) != health:
            after[name] = replace(health, version=health.version + 1)
            rows.append({"of_name": name, "health": after[name].to_json()})
    if rows:
        connection.execute(_SAVE_HEALTH, rows)


def change_health(connection: Connection, changes: Sequence[tuple[str, Callable[[Health], Health]]]) -> list[Health]:
    """Change how a connector does by hand (pause, resume): (name, change)."""
    before = load_healths(connection, {name for name, _ in changes})
    after = dict(before)
    for name, change in changes:
        after[name] = change(after.get(name, Health()))
    save_healths(connection, before, after)
    return [after[name] for name, _ in changes]


def _trouble_event(event_type: str, trouble: Trouble, now: float) -> Event:
    at = datetime.fromtimestamp(now, UTC)
    return Event(
        id=new_id("evt", now), type=event_type, timestamp=at, data=TroubleData(received_at=at, trouble=trouble)
    )
