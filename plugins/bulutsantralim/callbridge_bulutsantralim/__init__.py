"""Understands the webhook of the Verimor Bulutsantralim cloud PBX ("olay bildirme")."""

from __future__ import annotations

from collections.abc import Iterable

from bridge import SourceKind, hookimpl
from callbridge_bulutsantralim.scenarios import SCENARIOS
from callbridge_bulutsantralim.source import Bulutsantralim, Settings


@hookimpl
def bridge_sources() -> Iterable[SourceKind]:
    return [SourceKind(name="bulutsantralim", create=Bulutsantralim, settings=Settings, scenarios=SCENARIOS)]
