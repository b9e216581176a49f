"""The wall clock of a machine is set forward and back an hour in the middle of traffic, while retries wait."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from bridge.testing import eventually
from tests.faults.judge import Verdict
from tests.faults.sink import refusing_first
from tests.faults.stage import CONFIG, Victim, stage

HOUR = 3600


def set_clock(folder: Path, store: str | None, posts: int) -> Verdict:
    """That of the one machine (SQLite) or of one of two, and so many posts are taken before it is set again."""
    with stage(folder, store=store) as scene, ExitStack() as others:
        scene.sink.behave = refusing_first(503)  # so that retries wait
        scene.bridge.aim("the wall clock as a file says")
        scene.bridge.start()
        if store is not None:
            other = Victim(folder / "other", CONFIG.replace("SINK", scene.sink.url), store=store)
            others.callback(other.close)
            other.start()
        clock = scene.bridge.config.with_name("clock")
        scene.load.start()
        for hours in (1, 0, -1, 0):
            before = len(scene.load.accepted)
            eventually(lambda before=before: len(scene.load.accepted) >= before + posts, "more posts")
            clock.with_suffix(".new").write_text(str(hours * HOUR))
            clock.with_suffix(".new").replace(clock)
        scene.settle()
        return scene.judge("the wall clock set forward and back an hour")
