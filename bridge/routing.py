"""Whom an event is owed to, by the config alone: `on` and `when`. No plugin has a say, and none is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bridge.model import Call, CallData, Event, TroubleData
from bridge.phone import same_number_key
from bridge.plugins import LoadedConnector
from bridge.settings import WhenSettings


class Router:
    """Decides which (connector, target) pairs an event is owed to. `regions` has the region of each source's
    numbers."""

    def __init__(self, connectors: Sequence[LoadedConnector], regions: Mapping[str, str]) -> None:
        self._connectors = connectors
        self._regions = regions

    def owed(self, event: Event) -> list[tuple[str, str]]:
        """The pairs, in the order of the config."""
        return [
            (connector.name, target)
            for connector in self._connectors
            if connector.settings.wants(event.type) and self._is_for(connector, event)
            for target in connector.targets
        ]

    def _is_for(self, connector: LoadedConnector, event: Event) -> bool:
        if isinstance(event.data, TroubleData):
            # Nobody can be told of his own trouble; `when` speaks of calls.
            return event.data.trouble.connector != connector.name
        return _matches(connector.settings.when, event.data, self._regions.get(event.data.source, "TR"))


def _matches(when: WhenSettings, data: CallData, region: str) -> bool:
    call = data.call
    return (
        (not when.direction or call.direction in when.direction)
        and (not when.tenant or data.tenant in when.tenant)
        and _any_number(when.queue, [call.queue], region)
        and _any_number(when.called, [call.called.raw if call.called else None], region)
        and _any_number(when.dialed_user, _rang(call), region)
    )


def _rang(call: Call) -> Sequence[str | None]:
    return [*call.rang, call.dialed_user]


def _any_number(wanted: Sequence[str], numbers: Sequence[str | None], region: str) -> bool:
    """Whether one of the numbers is wanted, whatever the spelling. An empty list restricts nothing."""
    if not wanted:
        return True
    keys = {same_number_key(one, region) for one in wanted}
    return any(number and same_number_key(number, region) in keys for number in numbers)
