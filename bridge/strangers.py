"""Counting wrong tokens by where they come from, so that guessing is slow and told apart from a wrong setting."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from ipaddress import IPv6Address, IPv6Network

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from bridge.clients import Address
from bridge.durations import parse_rate

REMEMBERED = 10_000
"""Addresses remembered at most; the one that was not heard of for the longest is forgotten first."""


class WrongTokens:
    """Counts wrong tokens in memory, at most `rate` (such as `20/1m`) of one address. Safe to use from several
    threads."""

    def __init__(self, rate: str) -> None:
        count, seconds = parse_rate(rate)
        self._limit = RateLimitItemPerSecond(count, max(1, math.ceil(seconds)))
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._heard = OrderedDict[str, None]()
        self._lock = threading.Lock()

    def note(self, address: Address | None) -> int | None:
        """Count one; returns after how many seconds the next is heard, where these were too many, else None."""
        who = _who(address)
        self._remember(who)
        if self._limiter.hit(self._limit, who):
            return None
        reset_at = self._limiter.get_window_stats(self._limit, who).reset_time
        return max(1, math.ceil(reset_at - time.time()))

    def _remember(self, who: str) -> None:
        with self._lock:
            self._heard[who] = None
            self._heard.move_to_end(who)
            forgotten = self._heard.popitem(last=False)[0] if len(self._heard) > REMEMBERED else None
        if forgotten is not None:
            self._limiter.clear(self._limit, forgotten)


def _who(address: Address | None) -> str:
    # Whoever has one IPv6 address has its whole network.
    return str(IPv6Network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)
