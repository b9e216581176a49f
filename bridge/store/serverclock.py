"""The clock of a database server, by which all processes on it go, whatever the wall clocks of their machines say.

A process asks the server once a second what time it is, and counts on by itself in between. So nothing happens when the
wall clock of a machine is set. When the server's own is, every process sees that and goes on in the old time, in which
all is kept that waits. The one that leads moves that along as soon as all must have seen it, and then they go by the
new time. Which of the two is valid tells its beat, the row `clock` of the table `heartbeat`: once a second, the time it
goes by. While a process sees a jump that nobody has moved along with, each of its transactions begins by looking at
that row, which is locked during the move: so nothing is written in a time that is no longer valid.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LEAST_JUMP = 10.0
"""Seconds that count as a jump."""
FRESH_SECONDS = 5.0
"""Seconds by which the beat of the one that leads is behind at most."""

NOTICED_SECONDS = 3.0
"""Seconds after which every process must have seen a jump."""
RECENT_SECONDS = 60.0
"""Seconds for which something may still be on its way to the store whose time was taken before a jump."""

CLOCK = "clock"
"""The name of the beat."""
SAID = "extract(epoch FROM clock_timestamp())::float8, (SELECT beat_at FROM heartbeat WHERE name = 'clock')"
"""What the server is asked for: its time, and the beat."""

Ask = Callable[[str], tuple[float, float | None]]
"""Asks the server for columns such as `SAID` and returns what it said."""


def uptime() -> float:
    """Seconds since the boot of the machine, those it slept through too where that is known (Linux)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class ServerClock:
    """Called, it says the time in seconds since the epoch; until the server was asked first, that of this machine.

    Failure policy: while the server does not answer, it counts on from its last answer.
    """

    def __init__(self, wall: Callable[[], float] = time.time, uptime: Callable[[], float] = uptime) -> None:
        self._uptime = uptime
        self._offset = wall() - uptime()
        self._is_known = False
        self._jump = 0.0
        self._noticed_at = 0.0
        self._last_jump, self._jumped_at = 0.0, 0.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self._uptime() + self._offset

    @property
    def jump(self) -> float:
        """By how many seconds the server's clock has jumped, where this one still goes by the old time; else 0."""
        return self._jump

    @property
    def is_noticed(self) -> bool:
        """Whether by now all processes must have seen that jump."""
        return bool(self._jump) and self._uptime() - self._noticed_at >= NOTICED_SECONDS

    def shift(self, at: float) -> float:
        """By how many seconds a moment has to be moved that was taken from this clock a while ago: 0, unless it has
        jumped since."""
        if self._uptime() - self._jumped_at > RECENT_SECONDS:
            return 0.0
        age = self() - at
        return self._last_jump if abs(age - self._last_jump) < abs(age) else 0.0

    def ask(self, ask: Ask) -> None:
        """Ask the server what time it is. Raises what `ask` raises."""
        asked = self._uptime()
        said, beat = ask(SAID)
        answered = self._uptime()
        with self._lock:
            if not self._is_known:
                self._is_known = True
                # A beat that lies ahead: the server's clock was set back while nobody looked, and nothing moved along.
                was_set_back = beat is not None and beat - said >= LEAST_JUMP
                self._offset = beat - answered if was_set_back and beat is not None else said - (asked + answered) / 2
            # However long the way was, it said so after it was asked and before it answered.
            offset = min(max(self._offset, said - answered), said - asked)
            jump = offset - self._offset
            has_moved = beat is not None and abs(said - beat) < FRESH_SECONDS
            if abs(jump) < LEAST_JUMP or has_moved:
                self._go_by(offset)
            else:
                self._noticed_at = self._noticed_at if self._jump else answered
                self._jump = jump

    def follow(self, jump: float) -> None:
        """Go by the new time, which is `jump` seconds ahead."""
        with self._lock:
            if abs(self._jump - jump) < LEAST_JUMP:  # else it has heard of that already
                self._go_by(self._offset + jump)

    def _go_by(self, offset: float) -> None:
        if abs(offset - self._offset) >= LEAST_JUMP:
            self._last_jump, self._jumped_at = offset - self._offset, self._uptime()
        self._offset, self._jump = offset, 0.0
