"""A worker that is stopped past its lease, and goes on beside a second bridge that has taken over."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from bridge.testing import Answer, Arrival, eventually
from tests.faults.judge import Verdict
from tests.faults.stage import CONFIG, Victim, stage


def stop_past_lease(folder: Path, *, hurried: bool = False) -> Verdict:
    """SIGSTOP while it waits for an answer, SIGCONT when the other one has delivered. `hurried`: under short leases."""
    held: list[str] = []

    def hold_first(arrival: Arrival) -> Answer:
        if held or arrival.path != "/missed":
            return Answer()
        held.append(arrival.headers["webhook-id"])
        return Answer(delay=1.5)

    config = CONFIG.replace('timeout = "5s"', 'timeout = "2s"') if hurried else CONFIG
    with stage(folder, config) as scene:
        scene.sink.behave = hold_first
        (folder / "second").mkdir()
        store = {"CALLBRIDGE_STORE__URL": f"sqlite:///{scene.bridge.database}"}
        second = Victim(folder / "second", config.replace("SINK", scene.sink.url), environ=store)
        if hurried:
            scene.bridge.aim("under short leases")
            second.aim("under short leases")
        try:
            scene.bridge.start()
            second.start()
            scene.load.play(1)
            # Whoever is stopped while it writes keeps SQLite's lock: that is another fault.
            eventually(lambda: held and scene.waiting() == 1, "one delivery under way")
            worker = scene.bridge.worker
            os.kill(worker, signal.SIGSTOP)
            scene.disrupt()
            try:
                began = time.monotonic()
                eventually(lambda: _row(scene.bridge.database, held[0])[0] == "delivered", "the takeover", 90)
                took = time.monotonic() - began
                before = _row(scene.bridge.database, held[0])
            finally:
                os.kill(worker, signal.SIGCONT)
            scene.load.play(3)
            scene.settle()
            assert _row(scene.bridge.database, held[0]) == before, "a late write was taken"
            return scene.judge("a worker stopped past its lease", note=f"another took over after {took:.0f} s")
        finally:
            second.close()


def _row(database: Path, event: str) -> tuple[object, ...]:
    """The delivery of an event to the connector `missed`, as it stands."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        query = "SELECT state, attempts, finished_at FROM deliveries WHERE event_id = ? AND connector = 'missed'"
        return tuple(connection.execute(query, (event,)).fetchone())
