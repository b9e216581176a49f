"""Forgetting by itself what is older than `privacy.retention`, a little at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from bridge.health import Place
from bridge.store import Store

EVERY = 600.0
"""Seconds from one look for old rows to the next, where the last one found none."""
BATCH = 50
"""Rows of each table in a transaction: a post that comes meanwhile waits for some milliseconds."""
SLICE = 0.1
"""Seconds of a tick that are spent on it: the dispatcher has other things to do."""

_log = logging.getLogger("callbridge.retention")


class Retention:
    """Forgets what is older than `seconds`."""

    def __init__(
        self,
        store: Store,
        seconds: float,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._seconds = seconds
        self._clock = clock
        self._monotonic = monotonic
        self._next_at = monotonic()
        self._forgotten = 0

    def look(self) -> frozenset[Place]:
        """Forget for a moment, if it is time; what is left comes with the next tick. Nobody is owed an event by it."""
        began = self._monotonic()
        if began < self._next_at:
            return frozenset()
        while self._monotonic() - began < SLICE:
            self._store.give_way()
            count = self._store.prune(self._clock() - self._seconds, BATCH)
            self._forgotten += count
            if count == 0:
                self._next_at = began + EVERY
                self._tell()
                break
        return frozenset()

    def _tell(self) -> None:
        if self._forgotten:
            _log.info(
                "%d rows older than privacy.retention (%g days) forgotten", self._forgotten, self._seconds / 86400
            )
        self._forgotten = 0
