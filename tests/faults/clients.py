"""Clients that open connections and say nothing, or next to nothing."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.judge import Verdict
from tests.faults.stage import Stage, stage

HEAD = b"POST /event HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/x-www-form-urlencoded\r\n"
BEGINNINGS = {
    "idle": b"",
    "dripping headers": b"POST /event HTTP/1.1\r\nHost: bridge\r\nX-Slow: ",
    "dripping bodies": HEAD + b"Content-Length: 60000\r\n\r\ncall_uuid=",
}


def crowd(folder: Path, count: int, seconds: float = 10.0) -> Verdict:
    """So many connections of each kind, one kind after the other, while calls come in."""
    _allow_files(4 * count)
    with stage(folder) as scene:
        scene.bridge.start()
        slowest = {}
        for kind, beginning in BEGINNINGS.items():
            scene.load.play(1)
            before = len(scene.load.seconds)
            with _connected(scene, beginning, count):
                ends = time.monotonic() + seconds
                while time.monotonic() < ends:
                    scene.load.play(1)
            slowest[kind] = max(scene.load.seconds[before:])
        scene.settle()
        refused = {status: number for status, number in scene.load.answers.items() if status != 200}
        note = "slowest post: " + ", ".join(f"{took * 1000:.0f} ms ({kind})" for kind, took in slowest.items())
        verdict = scene.judge(f"{count} idle or dripping connections", note=note)
        assert not refused, refused
        assert max(slowest.values()) < 5, note
        return verdict


@contextmanager
def _connected(scene: Stage, beginning: bytes, count: int) -> Iterator[None]:
    clients = [socket.create_connection(("127.0.0.1", scene.bridge.port)) for _ in range(count)]
    over = threading.Event()

    def drip() -> None:
        while not over.wait(1.0):
            for client in clients:
                with suppress(OSError):  # the bridge has hung up
                    client.sendall(b"x")

    for client in clients:
        client.sendall(beginning)
    dripping = threading.Thread(target=drip, daemon=True)
    if beginning:
        dripping.start()
    try:
        yield
    finally:
        over.set()
        if beginning:
            dripping.join()
        for client in clients:
            client.close()


def _allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
