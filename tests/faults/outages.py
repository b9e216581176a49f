"""The store cannot be used for a while: 503 to the PBX, `/readyz` red with the reason, and all is well by itself when
the cause is gone."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from bridge.testing import eventually
from tests.faults.judge import Verdict
from tests.faults.stage import Stage, stage

Cause = Callable[[Stage], AbstractContextManager[object]]


def outage(
    folder: Path, fault: str, cause: Cause, reason: str, *, seconds: float = 0.0, store: str | None = None
) -> Verdict:
    """Let the cause last until it shows, and for so many seconds. `store`: see `Stage`."""
    with stage(folder, store=store) as scene:
        if cause is read_only:
            scene.bridge.aim("read-only while there is a file of that name")
        scene.bridge.start()
        scene.load.start()
        eventually(lambda: len(scene.load.accepted) > 20, "the first posts")
        scene.disrupt()
        with cause(scene):
            began = time.monotonic()
            eventually(lambda: scene.load.answers[503], "a post that is answered 503")
            eventually(lambda: reason in (_unready(scene) or ""), f"a red /readyz that says {reason}")
            taken = len(scene.load.accepted)
            time.sleep(max(0.0, seconds - (time.monotonic() - began)))
            assert len(scene.load.accepted) == taken, "a post was answered 200 though nothing could be kept"
        scene.disrupt()
        gone = time.monotonic()
        eventually(lambda: len(scene.load.accepted) > taken, "the first post that is taken again")
        eventually(lambda: _unready(scene) is None, "a green /readyz")
        took = time.monotonic() - gone
        scene.settle()
        return scene.judge(fault, note=f'"{reason}"; well again after {took:.1f} s')


def fill_disk(folder: Path) -> Verdict:
    """A file system that is full, where this user may make a small one."""
    fault = "the disk full"
    with small_disk(folder) as mounted:
        if not mounted:
            return Verdict(fault, note="not played: only root can mount a small disk")
        return outage(folder, fault, full_disk, "full", seconds=5.0)


def refused_at_start(folder: Path) -> Verdict:
    """A damaged file is refused at the start, with what to do; a backup brings everything back."""
    with stage(folder) as scene:
        scene.bridge.start()
        scene.load.play(3)
        eventually(lambda: not scene.waiting(), "the deliveries")
        assert scene.bridge.run("backup", "backup.db").returncode == 0
        scene.bridge.stop()
        with scene.bridge.database.open("r+b") as file:
            file.seek(4096)
            file.write(b"damage" * 4096)
        scene.bridge.start(until_ready=False)
        assert scene.bridge.wait() == 1
        assert "callbridge restore FILE" in scene.bridge.log.read_text()
        assert scene.bridge.run("restore", "backup.db").returncode == 0
        scene.bridge.start()
        scene.load.play(3)
        scene.settle()
        return scene.judge("damaged before the start", note="refused; restored from a backup")


def _unready(scene: Stage) -> str | None:
    """What /readyz says is wrong."""
    answer = scene.bridge.get("/readyz")
    return " ".join(answer.json()["reasons"]) if answer.status_code == 503 else None


# --- causes -------------------------------------------------------------------------------------------------------


@contextmanager
def file_limit(scene: Stage) -> Iterator[None]:
    """No file of the worker may grow, as if the disk were full (the kernel cuts every write off)."""
    before = resource.prlimit(scene.bridge.worker, resource.RLIMIT_FSIZE)
    resource.prlimit(scene.bridge.worker, resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.prlimit(scene.bridge.worker, resource.RLIMIT_FSIZE, before)


@contextmanager
def full_disk(scene: Stage) -> Iterator[None]:
    """The file system has no byte left. To be played on a small one."""
    ballast = scene.bridge.folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def lock(scene: Stage) -> Iterator[None]:
    """Another program writes, and takes its time."""
    other = sqlite3.connect(scene.bridge.database, isolation_level=None, timeout=20)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@contextmanager
def read_only(scene: Stage) -> Iterator[None]:
    """SQLite may not write (see `aimed.py`: a file system with open files cannot be made read-only)."""
    switch = scene.bridge.folder / "read-only"
    switch.touch()
    try:
        yield
    finally:
        switch.unlink()


@contextmanager
def replaced(scene: Stage) -> Iterator[None]:
    """Another file takes the place of the database."""
    file, away = scene.bridge.database, scene.bridge.folder / "away.db"
    file.rename(away)
    shutil.copy(away, file)
    try:
        yield
    finally:
        away.rename(file)


@contextmanager
def removed(scene: Stage) -> Iterator[None]:
    """The database is moved away."""
    file, away = scene.bridge.database, scene.bridge.folder / "away.db"
    file.rename(away)
    try:
        yield
    finally:
        away.rename(file)


@contextmanager
def overwritten(scene: Stage) -> Iterator[None]:
    """The beginning of the file is overwritten."""
    descriptor = os.open(scene.bridge.database, os.O_RDWR)
    try:
        before = os.pread(descriptor, 512, 0)
        os.pwrite(descriptor, bytes(512), 0)
        yield
        os.pwrite(descriptor, before, 0)
    finally:
        os.close(descriptor)


@contextmanager
def small_disk(folder: Path, megabytes: int = 4) -> Iterator[bool]:
    """A file system of its own at `folder`; False where this user may not mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    mounted = (
        shutil.which("mount") is not None and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    )
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


CAUSES: dict[str, tuple[Cause, str]] = {
    "no file may grow": (file_limit, "disk"),
    "locked by another program": (lock, "database is locked"),
    "read-only": (read_only, "readonly database"),
    "the file replaced": (replaced, "another file has taken its place"),
    "the file moved away": (removed, "put the file back"),
    "the file overwritten": (overwritten, "it is damaged"),
}
"""What may be wrong with the store: the cause, and words of the reason that /readyz gives."""
