"""Waiting for what happens, within a bound, and never for a while to hope."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds `eventually` waits at most: long for a busy machine, never used up on a well one."""


def eventually(look: Callable[[], T | None], what: str = "it", within: float = PATIENCE) -> T:
    """Look again and again until there is something true to see; returns it. Raises AssertionError after `within`
    seconds."""
    deadline = time.monotonic() + within
    while True:
        began = time.monotonic()
        seen = look()
        if seen:
            return seen
        now = time.monotonic()
        if now > deadline:
            raise AssertionError(f"{what} did not happen within {within:g} s; last seen: {seen!r}")
        time.sleep(max(0.01, now - began))  # a look that is hard work leaves the processor to what it waits for
