"""Noticing that a PBX has gone quiet (`sources.….silence`): a wrong URL or an expired certificate says nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from bridge.health import Place
from bridge.model import SOURCE_SILENT, Trouble
from bridge.store import Store, queries


class SilenceWatch:
    """Raises `bridge.source_silent` once for each silence. `limits` has the seconds of every source that has a
    limit."""

    def __init__(self, store: Store, limits: Mapping[str, float], clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._limits = limits
        self._clock = clock
        self.start()

    def start(self) -> None:
        """Count from now on. To be called again once the clock is right, where a server has to be asked."""
        self._started_at = self._clock()

    def look(self) -> frozenset[Place]:
        """Tell of new silences; returns who is owed an event."""
        if not self._limits:
            return frozenset()
        with self._store.reading() as connection:
            known = queries.sources(connection)
        told: frozenset[Place] = frozenset()
        now = self._clock()
        for name, limit in self._limits.items():
            row = known.get(name, {})
            # A bridge that was off has heard nothing: the silence is measured from the start at the earliest.
            heard_at = max(row.get("last_event_at") or 0.0, self._started_at)
            if now - heard_at > limit and (row.get("silence_told_at") or 0.0) < heard_at:
                reason = f"no event for {limit:g} s: is the URL entered in the PBX still right?"
                # In this order: a crash in between tells it twice, and not never.
                told |= self._store.emit(SOURCE_SILENT, Trouble(source=name, reason=reason))
                self._store.note_silence(name)
        return told
