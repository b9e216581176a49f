"""How often a PIN may be tried."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable

MOST = 5
"""Wrong PINs of an extension within `WINDOW`: of the 10^8 there are, whoever guesses can try 480 a day."""
WINDOW = 15 * 60.0
"""Seconds."""


class Attempts:
    """Counts in this process. Ask only for extensions somebody is granted: of others there is no end."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._made: dict[str, deque[float]] = defaultdict(deque)

    def begin(self, extension: str) -> float:
        """Count one more try; or, where there were too many, return the seconds until there may be another."""
        with self._lock:
            made, now = self._made[extension], self._clock()
            while made and made[0] <= now - WINDOW:
                made.popleft()
            if len(made) >= MOST:
                return made[0] + WINDOW - now
            made.append(now)
            return 0.0

    def succeeded(self, extension: str) -> None:
        """The PIN was right: whoever knows it may mistype it again."""
        with self._lock:
            self._made.pop(extension, None)
