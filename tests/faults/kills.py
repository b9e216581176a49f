"""kill -9 of the whole bridge: at random moments, and aimed at each boundary of a post's way."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path

from bridge.testing import Arrival
from tests.faults.judge import Verdict
from tests.faults.sink import refusing_first, well_behaved
from tests.faults.stage import Stage, stage

AT_RANDOM = "at random"
BOUNDARIES = (
    AT_RANDOM,
    "before the commit",
    "after the commit",
    "after the claim",
    "while sending",
    "before the record",
    "while retrying",
    "while replaying",
)
LONGEST = 2.0
"""Seconds after which it is killed at a random moment, the start included."""


def kill(folder: Path, boundaries: Sequence[str], seed: int, store: str | None = None) -> Verdict:
    """Kill it at each of these, one after the other, each time when it comes there for the first to the 20th time.
    `store`: see `Stage`."""
    chance = random.Random(seed)
    with stage(folder, store=store) as scene:
        behaviours = {"while retrying": refusing_first(503), "while replaying": refusing_first(400, _is_missed)}
        scene.load.start()
        for boundary in boundaries:
            scene.sink.behave = behaviours.get(boundary, well_behaved)
            _kill_once(scene, boundary, chance)
        scene.bridge.spare()
        scene.bridge.start()
        scene.load.play(2)
        scene.settle()
        scene.replay_dead()
        scene.settle()
        return scene.judge(f"{len(boundaries)} times kill -9 {', '.join(sorted(set(boundaries)))}")


def _kill_once(scene: Stage, boundary: str, chance: random.Random) -> None:
    if boundary == AT_RANDOM:
        scene.bridge.spare()
        scene.bridge.start(until_ready=False)
        time.sleep(chance.uniform(0, LONGEST))
        scene.kill()
        return
    scene.bridge.aim(boundary, chance.randint(1, 20))
    scene.bridge.start(until_ready=False)
    while boundary == "while replaying" and scene.bridge.is_running:
        scene.replay_dead()
        time.sleep(0.1)
    scene.wait_for_death()


def _is_missed(arrival: Arrival) -> bool:
    """Endings alone: whatever follows a dead delivery of its call does not wait for its replay."""
    return arrival.path == "/missed"
