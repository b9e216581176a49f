"""Writing down how deliveries ended, whatever the store does meanwhile."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from bridge.errors import StoreError
from bridge.health import Health, Place
from bridge.store import Concluded, Ending, Store

RECORD_SECONDS = 600.0
"""Seconds an outcome waits for a store that cannot be used."""
PAUSE = 0.5
"""Seconds between two tries to write it."""


class Ledger:
    """Records the outcomes of one lane; `learn` is told how its connector does by then. `soon` is how many seconds a
    success may take that nobody waits for.

    Failure policy: while the store cannot take the outcome, try again, also after the lease: it counts unless somebody
    else has claimed the delivery. What cannot be recorded is claimed once more and repeated: at least once.
    """

    def __init__(
        self,
        connector: str,
        store: Store,
        learn: Callable[[Health], None],
        soon: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._learn = learn
        self._soon = soon
        self._monotonic = monotonic
        self._stopped = threading.Event()
        self._log = logging.getLogger(f"callbridge.connectors.{connector}")

    def stop(self) -> None:
        """Try once more what is being tried, and no more than that."""
        self._stopped.set()

    def write(self, endings: Sequence[Ending]) -> frozenset[Place]:
        """Record them, and wait until they are. Returns which places are owed an event because of it."""
        give_up = self._monotonic() + RECORD_SECONDS
        while True:
            try:
                return self._take_in(self._store.conclude(endings))
            except StoreError as error:
                if self._stopped.is_set() or self._monotonic() > give_up:
                    self._log.error("an outcome could not be recorded, the delivery will be repeated: %s", error)
                    return frozenset()
                self._stopped.wait(PAUSE)
            except Exception:  # noqa: BLE001  # the lease ends by itself
                self._log.exception("an outcome could not be recorded, the delivery will be repeated")
                return frozenset()

    def write_later(self, ending: Ending, then: Callable[[frozenset[Place]], None]) -> None:
        """The same without waiting; `then` is told. Where the store does not take it soon, a thread waits for it."""

        def conclude(said: Concluded | Exception) -> None:
            if isinstance(said, Concluded):
                then(self._take_in([said]))
                return
            try:
                threading.Thread(target=lambda: then(self.write([ending])), daemon=True).start()
            except RuntimeError:
                self._log.exception("an outcome could not be recorded, the delivery will be repeated")
                then(frozenset())

        self._store.conclude_later(ending, conclude, self._soon)

    def _take_in(self, said: Sequence[Concluded]) -> frozenset[Place]:
        for concluded in said:
            self._learn(concluded.health)
        return frozenset().union(*(concluded.told for concluded in said))
