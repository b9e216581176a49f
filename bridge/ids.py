"""Ids that sort by time, so that indexes over them grow at one end only."""

from __future__ import annotations

import secrets


def new_id(prefix: str, at: float) -> str:
    """A fresh id such as `evt_00064f1c0b9a2e31…`: the prefix, microseconds since the epoch in hex, 48 random bits."""
    return f"{prefix}_{int(at * 1_000_000):016x}{secrets.token_hex(6)}"
