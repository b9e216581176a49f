"""When a delivery is tried again."""

from __future__ import annotations

import pytest

from bridge.retry import RetrySchedule

STEPS = (5, 30, 120, 600, 1800, 7200, 18000, 36000)


@pytest.mark.parametrize(("step", "seconds"), list(enumerate(STEPS)))
def test_each_step_waits_as_the_schedule_says(step: int, seconds: float) -> None:
    assert RetrySchedule(STEPS, 0).wait(step, None) == seconds


@pytest.mark.parametrize("step", [8, 9, 100])
def test_after_the_last_step_there_is_no_other_try(step: int) -> None:
    assert RetrySchedule(STEPS, 0.2).wait(step, None) is None
    assert RetrySchedule(STEPS, 0.2).wait(step, 60.0) is None


def test_without_a_schedule_there_is_no_second_try() -> None:
    assert RetrySchedule((), 0.2).wait(0, None) is None


def test_the_jitter_only_lengthens_a_wait() -> None:
    schedule = RetrySchedule(STEPS, 0.2)
    for step, seconds in enumerate(STEPS):
        waits = [schedule.wait(step, None) or 0.0 for _ in range(200)]
        assert seconds <= min(waits) < max(waits) <= seconds * 1.2
        assert len(set(waits)) > 100


@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        (None, 30.0),
        (0.0, 30.0),
        (29.0, 30.0),
        (45.0, 45.0),
        (3600.0, 3600.0),
        (3601.0, 3600.0),
        (1e9, 3600.0),
        (-5.0, 30.0),
    ],
)
def test_the_longer_of_the_schedule_and_retry_after_counts_and_that_is_an_hour_at_most(
    asked: float | None, wait: float
) -> None:
    assert RetrySchedule(STEPS, 0).wait(1, asked) == wait


def test_the_cap_of_retry_after_does_not_shorten_the_schedule() -> None:
    assert RetrySchedule(STEPS, 0).wait(7, 1e9) == 36000
