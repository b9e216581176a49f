"""The processes beside the bridge: who receives, and what it is compared with."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bridge.testing import eventually, free_port

HERE = Path(__file__).parent


@dataclass
class Sink:
    """The receiver's process."""

    process: subprocess.Popen[str]
    url: str

    def collect(self) -> dict[str, float]:
        """When what has arrived since the last call, by call id and event type."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return dict(json.loads(self.process.stdout.readline()))


@contextmanager
def run_sink() -> Iterator[Sink]:
    with subprocess.Popen(
        [sys.executable, HERE / "sink.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield Sink(process, f"http://127.0.0.1:{int(process.stdout.readline())}/")


def run_ceiling() -> AbstractContextManager[tuple[int, int]]:
    """The trivial application: its process and its port."""
    return _serving("ceiling.py")


def run_by_hand(way: str, url: str, workers: int) -> AbstractContextManager[tuple[int, int]]:
    """The handler written by hand, which sends to `url`: its process and its port."""
    return _serving("byhand.py", way, url, str(workers))


@contextmanager
def _serving(program: str, *words: str) -> Iterator[tuple[int, int]]:
    port = free_port()
    process = subprocess.Popen([sys.executable, HERE / program, str(port), *words])
    try:
        eventually(lambda: is_ready(port), f"the start of {program}")
        yield process.pid, port
    finally:
        process.terminate()
        process.wait()


def is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
