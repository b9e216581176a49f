"""Plugins of somebody else: that raise, hang, leak threads, answer nonsense; that exit the process or eat memory."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from pathlib import Path

from bridge.testing import eventually
from tests.faults.judge import Verdict
from tests.faults.load import Load
from tests.faults.stage import CONFIG, Stage, stage
from tests.plugins_for_tests.install import install

SOURCE = """
    import os, signal, threading
    from pathlib import Path
    from pydantic import BaseModel
    from bridge import ConnectorKind, hookimpl

    class Options(BaseModel):
        mood: str

    class Moody:
        def __init__(self, options, context):
            self.mood = options.mood

        @hookimpl
        def bridge_deliver(self, delivery):
            call = delivery.event.call.id
            with open(f"diary-{self.mood}", "a") as diary:
                print(call, file=diary)
            match self.mood:
                case "raises":
                    raise RuntimeError("no")
                case "hangs":
                    threading.Event().wait()
                case "leaks":
                    threading.Thread(target=threading.Event().wait, daemon=True).start()
                case "answers":
                    return 42
                case "exits" if call.startswith("bad"):
                    os._exit(7)
                case "eats" if call.startswith("bad"):
                    eaten = bytearray(200_000_000)
                    os.kill(os.getpid(), signal.SIGKILL)  # as the kernel ends who eats too much

    @hookimpl
    def bridge_connectors():
        return [ConnectorKind(name="moody", create=Moody, settings=Options, timeout=0.5, retry_schedule=())]
"""


FAULTS = {"exits": "a plugin that exits the process", "eats": "a plugin that eats the memory"}


def moody(*moods: str) -> str:
    """A connector of every mood, beside those of `CONFIG`."""
    return CONFIG + "".join(
        f'[connectors.{mood}]\nkind = "moody"\non = ["call.ringing"]\nmood = "{mood}"\nbreaker = {{failures = 0}}\n'
        for mood in moods
    )


def misbehave(folder: Path, calls: int) -> Verdict:
    """Plugins that raise, hang, leak threads and answer nonsense, while others deliver."""
    with _stage(folder, "raises", "hangs", "leaks", "answers") as scene:
        scene.bridge.start()
        scene.load.play(calls)
        began = time.monotonic()
        eventually(lambda: len(scene.sink.taken) >= len(scene.load.accepted), "the deliveries of the others")
        took = time.monotonic() - began
        scene.load.stop()
        fault = "plugins that raise, hang, leak threads, answer nonsense"
        return scene.judge(fault, note=f"the others were done {took:.1f} s after the last post")


def kill_process(folder: Path, mood: str, calls: int) -> Verdict:
    """A plugin that takes its process down with it for one call in many: that delivery alone is dead in the end."""
    with _stage(folder, mood) as scene:
        scene.bridge.start()
        scene.load.play(calls)
        scene.load.start()
        bad = Load([f"{scene.bridge.url}/event"], name="bad")
        bad.play(1)
        deadline = time.monotonic() + 60
        while not (dead := _dead(scene)):
            scene.disrupt()  # the process dies again and again
            assert time.monotonic() < deadline, "the delivery that kills its process is not found"
            time.sleep(0.01)
        scene.disrupt()
        scene.load.stop()
        scene.load.play(calls)
        scene.settle()
        scene.load.accepted += bad.accepted
        tries = (folder / f"diary-{mood}").read_text().split().count("bad-0")
        assert dead == [(mood, "bad-0")], dead
        assert tries in (3, 4)  # where others were under way as well, the first one proves nothing
        return scene.judge(FAULTS[mood], note=f"that delivery is dead after {tries} tries")


def _dead(scene: Stage) -> list[tuple[str, str]]:
    """The dead deliveries: connector and call."""
    return scene.books.rows("SELECT connector, call_id FROM deliveries WHERE state = 'dead'")


def _stage(folder: Path, *moods: str) -> AbstractContextManager[Stage]:
    folder.mkdir(parents=True, exist_ok=True)
    install(folder, "moody", SOURCE)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return stage(folder, moody(*moods), environ={"PYTHONPATH": path})
