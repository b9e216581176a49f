"""A worker that is stopped past its lease, and goes on beside a second bridge that has taken over."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from bridge.testing import Answer, Arrival, eventually
from tests.faults.books import Books
from tests.faults.judge import Verdict
from tests.faults.stage import CONFIG, Victim, stage


def stop_past_lease(folder: Path, *, hurried: bool = False, store: str | None = None) -> Verdict:
    """SIGSTOP while it waits for an answer, SIGCONT when the other one has delivered. `hurried`: under short leases.
    `store`: see `Stage`."""
    held: list[str] = []

    def hold_first(arrival: Arrival) -> Answer:
        if held or arrival.path != "/missed":
            return Answer()
        held.append(arrival.headers["webhook-id"])
        return Answer(delay=1.5)

    config = CONFIG.replace('timeout = "5s"', 'timeout = "2s"') if hurried else CONFIG
    with stage(folder, config, store=store) as scene:
        scene.sink.behave = hold_first
        (folder / "second").mkdir()
        second = Victim(folder / "second", config.replace("SINK", scene.sink.url), store=scene.store)
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
                eventually(lambda: _row(scene.books, held[0])[0] == "delivered", "the takeover", 90)
                took = time.monotonic() - began
                before = _row(scene.books, held[0])
            finally:
                os.kill(worker, signal.SIGCONT)
            scene.load.play(3)
            scene.settle()
            assert _row(scene.books, held[0]) == before, "a late write was taken"
            return scene.judge("a worker stopped past its lease", note=f"another took over after {took:.0f} s")
        finally:
            second.close()


def _row(books: Books, event: str) -> tuple[object, ...]:
    """The delivery of an event to the connector `missed`, as it stands."""
    query = "SELECT state, attempts, finished_at FROM deliveries WHERE event_id = :event AND connector = 'missed'"
    (row,) = books.rows(query, event=event)
    return row
