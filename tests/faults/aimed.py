"""A bridge that dies by kill -9, parent and worker, when it comes to a boundary for the Nth time.

    python -P aimed.py BOUNDARY COUNT serve --config FILE

The product has no hooks for this: the function at the boundary is wrapped before the bridge starts.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine.default import DefaultDialect

from bridge.cli import main
from bridge.delivery import lane
from bridge.delivery.lane import Lane
from bridge.store import writer
from bridge.store.arrivals import Arrivals
from bridge.store.driver import execute

Shot = Callable[[], None]


class Countdown:
    """Kills the bridge when it is called for the `count`th time."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getppid(), signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)


def at_call(owner: Any, name: str, shot: Shot, when: Callable[..., bool] = lambda *_: True) -> None:
    """Fire as a method is called; `when` looks at what it is called with."""
    method = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if when(*args):
            shot()
        return method(*args, **kwargs)

    setattr(owner, name, wrapped)


def at_commit(shot: Shot, *, after: bool) -> None:
    """Fire at the commit of a transaction that keeps posts."""
    keeps = threading.local()
    accept, commit = Arrivals.accept, DefaultDialect.do_commit

    def accepting(self: Arrivals, *args: Any) -> Any:
        keeps.posts = True
        return accept(self, *args)

    def committing(self: DefaultDialect, connection: Any) -> None:
        aimed, keeps.posts = getattr(keeps, "posts", False), False
        if aimed and not after:
            shot()
        commit(self, connection)
        if aimed and after:
            shot()

    Arrivals.accept = accepting  # type: ignore[method-assign]
    DefaultDialect.do_commit = committing  # type: ignore[method-assign]


def read_only(_shot: Shot) -> None:
    """Let SQLite write nothing while there is a file of that name in the folder."""
    transact = writer._transact

    def transacting(connection: Connection, jobs: Any, gather: Any) -> Any:
        execute(connection, f"PRAGMA query_only = {Path('read-only').exists():d}")
        return transact(connection, jobs, gather)

    writer._transact = transacting


def shorten_leases(_shot: Shot) -> None:
    """Leases end soon after the timeout."""
    lane.HANG_GRACE, lane.LEASE_MARGIN = 0.2, 0.5


def set_clock(_shot: Shot) -> None:
    """Let the wall clock be ahead by as many seconds as the file `clock` in the folder says."""
    wall, file = time.time, Path("clock")

    def set_by() -> float:
        return wall() + (float(file.read_text()) if file.exists() else 0.0)

    assert "bridge.app" not in sys.modules, "it knows the clock already"
    time.time = set_by


def is_retry(_lane: Lane, claims: Any, _contacts: Any) -> bool:
    return any(claim.step > 0 for claim in claims)


def is_replay(_lane: Lane, claims: Any, _contacts: Any) -> bool:
    return any(claim.attempts > 0 and claim.step == 0 for claim in claims)


BOUNDARIES: dict[str, Callable[[Shot], None]] = {
    "before the commit": partial(at_commit, after=False),
    "after the commit": partial(at_commit, after=True),
    "after the claim": partial(at_call, Lane, "push"),
    "while sending": partial(at_call, HTTPResponse, "begin"),
    "before the record": partial(at_call, Lane, "_conclude"),
    "while retrying": partial(at_call, Lane, "_call", when=is_retry),
    "while replaying": partial(at_call, Lane, "_call", when=is_replay),
    "under short leases": shorten_leases,
    "the wall clock as a file says": set_clock,
    "read-only while there is a file of that name": read_only,
}

if __name__ == "__main__":
    boundary, count = sys.argv[1:3]
    del sys.argv[1:3]
    BOUNDARIES[boundary](Countdown(int(count)))
    main()
