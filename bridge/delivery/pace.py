"""How often a connector may be called (`rate = "30/m"`): at most so many calls in any window of that length."""

from __future__ import annotations

from collections import deque

from bridge.durations import parse_rate


class Pace:
    """Counts calls in a sliding window. `rate` None never waits. Times are those of one monotonic clock, in seconds."""

    def __init__(self, rate: str | None) -> None:
        self._period = 0.0
        self._calls: deque[float] | None = None
        if rate is not None:
            count, self._period = parse_rate(rate)
            self._calls = deque(maxlen=count)

    def room(self, now: float) -> int | None:
        """How many calls may begin now; None where there is no limit."""
        if self._calls is None or self._calls.maxlen is None:
            return None
        recent = sum(1 for at in self._calls if now - at < self._period)
        return self._calls.maxlen - recent

    def wait(self, now: float) -> float:
        """Seconds until the next call may begin."""
        if self._calls is None or len(self._calls) < (self._calls.maxlen or 0):
            return 0.0
        return max(0.0, self._calls[0] + self._period - now)

    def take(self, now: float) -> bool:
        """Begin a call, if it may begin now."""
        if self._calls is None:
            return True
        if self.wait(now) > 0:
            return False
        self._calls.append(now)
        return True
