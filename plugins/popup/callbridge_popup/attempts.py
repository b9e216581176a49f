"""How often a PIN may be tried.

Whoever guesses gets little time from one address, and finds the agent's own address as free as before: a stranger keeps
nobody out.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from ipaddress import IPv6Network, ip_address
from typing import Any

WINDOW = 5 * 60.0
"""Seconds within which wrong PINs are counted."""
MOST = 5
"""Of one address for one extension: of the 10^8 PINs there are, 1440 a day."""
MOST_OF_ADDRESS = 20
"""Of one address for all extensions."""
MOST_OF_EXTENSION = 100
"""From all addresses together, besides those the extension has been signed in from: a day's tries of a thousand
machines are 0.03 % of the PINs."""
REMEMBERED = 10_000
"""Counts, and addresses somebody has signed in from, that are kept; the oldest go first."""

Key = tuple[str, str]


class Attempts:
    """Counts in this process. Safe to use from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._made: OrderedDict[Key, deque[float]] = OrderedDict()
        self._known: OrderedDict[Key, None] = OrderedDict()

    def begin(self, address: str, extension: str) -> float:
        """Count one more try; or, where there were too many, return the seconds until there may be another."""
        who, now = _network(address), self._clock()
        with self._lock:
            limits = {(who, extension): MOST, (who, ""): MOST_OF_ADDRESS}
            if (who, extension) not in self._known:
                limits["", extension] = MOST_OF_EXTENSION
            wait = max(self._wait(key, most, now) for key, most in limits.items())
            if not wait:
                for key in limits:
                    self._made.setdefault(key, deque()).append(now)
                    self._made.move_to_end(key)
            _shrink(self._made)
            return wait

    def succeeded(self, address: str, extension: str) -> None:
        """The PIN was right: whoever knows it may mistype it again, and strangers do not keep that address out."""
        who = _network(address)
        with self._lock:
            self._made.pop((who, extension), None)
            for key in ((who, ""), ("", extension)):
                if made := self._made.get(key):
                    made.pop()
            self._known[who, extension] = None
            self._known.move_to_end((who, extension))
            _shrink(self._known)

    def _wait(self, key: Key, most: int, now: float) -> float:
        made = self._made.get(key, deque())
        while made and made[0] <= now - WINDOW:
            made.popleft()
        return made[0] + WINDOW - now if len(made) >= most else 0.0


def _network(address: str) -> str:
    """The address, of IPv6 its network: whoever has one address of it has them all."""
    try:
        read = ip_address(address)
    except ValueError:
        return "?"
    return str(read) if read.version == 4 else str(IPv6Network((read, 64), strict=False))


def _shrink(kept: OrderedDict[Key, Any]) -> None:
    while len(kept) > REMEMBERED:
        kept.popitem(last=False)
