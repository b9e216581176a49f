"""Lease tokens: they say which process holds a claim, so that the claims of a dead one can be taken over at once.

A token is `<place>/<pid>/<start>/<random>`. The place is this boot of this machine and this namespace of process ids;
a token from any other place is left alone: its lease ends by itself.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def new_token() -> str:
    """A token for this process."""
    pid = os.getpid()
    return f"{_place()}/{pid}/{_started(pid)}/{secrets.token_hex(4)}"


def is_dead(token: str) -> bool:
    """Whether the process that made the token is certainly gone."""
    place, pid, started, _ = token.split("/")
    return place == _place() != "" and _started(int(pid)) != started


def _place() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # not Linux: no process is ever known to be dead, and leases end by themselves
        return ""
    return f"{boot}.{namespace}"


def _started(pid: int) -> str:
    """When a process started, in ticks since boot; empty where there is none, or only a zombie that nobody has waited
    for. A pid alone may be another's by now."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, *rest = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else rest[18]
