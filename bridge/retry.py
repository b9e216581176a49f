"""When to try again. tenacity computes the waits; this says which."""

from __future__ import annotations

from collections.abc import Sequence

from tenacity import RetryCallState, Retrying, wait_chain, wait_fixed, wait_random
from tenacity.wait import wait_base

LONGEST_RETRY_AFTER = 3600.0
"""Seconds. What another side asks for beyond this is not believed: the connector would be as good as switched off."""


class RetrySchedule:
    """The waits between the tries of one delivery: step by step, each lengthened by chance, then no more.

    `schedule` are seconds; `jitter` 0.2 lengthens each wait by up to a fifth, so that what failed together does not
    come back together. The jitter never shortens a wait.
    """

    def __init__(self, schedule: Sequence[float], jitter: float) -> None:
        self._steps = len(schedule)
        self._wait: wait_base | None = (
            wait_chain(*(wait_fixed(step) + wait_random(0, step * jitter) for step in schedule)) if schedule else None
        )

    def wait(self, step: int, retry_after: float | None) -> float | None:
        """Seconds to wait after the failed try number `step` + 1 of the schedule; None after its last step.

        The longer of the schedule and `retry_after` (what the other side asked for, at most an hour).
        """
        if self._wait is None or step >= self._steps:
            return None
        state = RetryCallState(Retrying(), fn=None, args=(), kwargs={})
        state.attempt_number = step + 1
        return max(self._wait(state), min(retry_after or 0.0, LONGEST_RETRY_AFTER))
