"""Several bridges on one store, each on a port of its own as if on a machine of its own: killed, added, upgraded."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bridge.testing import eventually
from tests.faults.judge import Verdict
from tests.faults.load import Load
from tests.faults.stage import CONFIG, Stage, Victim, stage


class Fleet:
    """Bridges on the store of a stage, with a load that is posted to whichever takes it."""

    def __init__(self, folder: Path, scene: Stage, store: str, count: int) -> None:
        self._folder = folder
        self._scene = scene
        self._store = store
        self._urls: list[str] = []
        self.all: list[Victim] = []
        for one in [self._begin() for _ in range(count)]:
            self._give_posts(one)
        scene.load = Load(self._urls, callers=8)

    def add(self) -> None:
        """One more, that gets posts too as soon as it is ready."""
        self._give_posts(self._begin())

    def _give_posts(self, one: Victim) -> None:
        one.wait_ready()
        self._urls.append(f"{one.url}/event")

    def _begin(self) -> Victim:
        config = CONFIG.replace("SINK", self._scene.sink.url)
        one = Victim(self._folder / f"host-{len(self.all)}", config, store=self._store)
        self.all.append(one)
        one.start(until_ready=False)
        return one

    def more(self, posts: int) -> None:
        """Wait for so many more posts that are taken."""
        before = len(self._scene.load.accepted)
        eventually(lambda: len(self._scene.load.accepted) >= before + posts, "more posts")


@contextmanager
def fleet(folder: Path, store: str | None, count: int) -> Iterator[tuple[Stage, Fleet]]:
    """So many bridges that are ready; on an SQLite file where no `store` is given."""
    with ExitStack() as stack:
        same = store or f"sqlite:///{folder / 'shared.db'}"
        scene = stack.enter_context(stage(folder, store=same))
        them = Fleet(folder, scene, same, count)
        stack.callback(lambda: [one.close() for one in them.all])
        yield scene, them


def kill_some(folder: Path, store: str | None, count: int, killed: int, added: int) -> Verdict:
    """Of so many, some are killed under traffic, and some are added."""
    with fleet(folder, store, count) as (scene, them):
        scene.load.start()
        them.more(50)
        for one in them.all[:killed]:
            one.kill()
            scene.disrupt()
            them.more(20)
        for _ in range(added):
            them.add()
        them.more(50)
        scene.settle()
        return scene.judge(f"of {count} bridges on {_kind(store)} {killed} killed, {added} added", note=_answers(scene))


def restart_in_turn(folder: Path, store: str | None, count: int, rounds: int) -> Verdict:
    """Each is stopped in an orderly way and started again, one after the other: nobody is to notice."""
    with fleet(folder, store, count) as (scene, them):
        scene.load.start()
        for one in them.all * rounds:
            them.more(50)
            one.signal(signal.SIGTERM)
            assert one.wait() == 0
            one.start()
        them.more(50)
        scene.settle()
        verdict = scene.judge(
            f"{count} bridges on {_kind(store)} restarted in turn, {count * rounds} times", note=_answers(scene)
        )
        assert set(scene.load.answers) == {200}, scene.load.answers
        return verdict


def _kind(store: str | None) -> str:
    return "PostgreSQL" if store else "one SQLite file"


def _answers(scene: Stage) -> str:
    """What the posts were answered that were not taken, and how long the slowest one took."""
    refused = {status: number for status, number in scene.load.answers.items() if status != 200}
    said = ", ".join(f"{number} answered {status or 'nothing'}" for status, number in sorted(refused.items()))
    return f"{said or 'every post taken'}; the slowest in {max(scene.load.seconds):.1f} s"
