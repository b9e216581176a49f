"""The connectors as an operator sees them: configured, failed, paused, or removed with something still owed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from bridge.health import Health, Place
from bridge.plugins import LoadedConnector
from bridge.store import queries
from bridge.store.outcomes import load_healths


def describe_connectors(
    connection: Connection, configured: Mapping[str, LoadedConnector], now: float
) -> list[dict[str, Any]]:
    """A row for each connector that is configured or has deliveries.

    `state` is `active`, `open` (the breaker waits), `paused`, `failed` (plugin or settings broken), or `orphaned` (no
    longer in the config).
    """
    tallies = queries.tallies(connection)
    healths = load_healths(connection, None)
    rows = []
    for name in (*configured, *sorted(set(tallies) - set(configured))):
        connector = configured.get(name)
        state, error = connector_state(connector, healths, now)
        row = {"name": name, "kind": connector.settings.kind if connector else None, "state": state, "error": error}
        rows.append({**row, **tallies.get(name, queries.NO_DELIVERIES)})
    return rows


def connector_state(
    connector: LoadedConnector | None, healths: Mapping[Place, Health], now: float
) -> tuple[str, str | None]:
    """The state of a connector, as `describe_connectors` has it, and why it is so, where there is a reason.

    Of several targets the one that does worst counts; the reason names it.
    """
    if connector is None:
        return "orphaned", "no longer in the config"
    if connector.error is not None:
        return "failed", connector.error
    health = max(
        (healths.get(place, Health()) for place in connector.places),
        key=lambda one: (
            one.not_started is not None,
            one.paused_by is not None,
            one.admits(now) != "all",
            one.last_error is not None,
        ),
    )
    if health.not_started is not None:
        return "failed", health.not_started
    if health.paused_by is not None:
        return "paused", health.reason
    return ("active" if health.admits(now) == "all" else "open"), health.last_error
