"""Ids that sort by time, so that indexes over them grow at one end only."""

from __future__ import annotations

import secrets


def new_id(prefix: str, at: float) -> str:
    """A fresh id such as `evt_0199f3c2a1b4…`: the prefix, the milliseconds since the epoch of `at`, 64 random bits."""
    return f"{prefix}_{int(at * 1000):012x}{secrets.token_hex(8)}"
