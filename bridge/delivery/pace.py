"""How often a connector may be called (`rate = "30/m"`): at most so many calls in any window of that length.

All processes on one store share the rate, so the store has the last word (`take_turn`). What this process knows by
itself spares it the asking for what it would not get.
"""

from __future__ import annotations

from collections import deque

from bridge.durations import parse_rate


class Pace:
    """Counts the calls of this process in a sliding window. `rate` None never waits. Times are those of one monotonic
    clock, in seconds."""

    def __init__(self, rate: str | None) -> None:
        self.limit = parse_rate(rate) if rate is not None else None
        """How many calls may begin in how many seconds; None: any number."""
        self._calls = deque[float](maxlen=self.limit[0] if self.limit else 0)
        self._held_until = 0.0

    def room(self, now: float) -> int | None:
        """How many calls may begin now; None where there is no limit."""
        if self.limit is None:
            return None
        count, period = self.limit
        recent = sum(1 for at in self._calls if now - at < period)
        return count - recent if now >= self._held_until else 0

    def wait(self, now: float) -> float:
        """Seconds until the next call may begin."""
        if self.limit is None:
            return 0.0
        count, period = self.limit
        own = self._calls[0] + period - now if len(self._calls) == count else 0.0
        return max(0.0, own, self._held_until - now)

    def take(self, now: float) -> bool:
        """Begin a call, if it may begin now."""
        if self.wait(now) > 0:
            return False
        if self.limit is not None:
            self._calls.append(now)
        return True

    def hold(self, until: float) -> None:
        """Let no call begin before `until`: other processes have taken the turns. The last one taken here was none."""
        self._held_until = until
        if self._calls:
            self._calls.pop()
