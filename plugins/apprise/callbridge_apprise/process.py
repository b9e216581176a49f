"""Callbridge's end of the program that holds apprise (see `worker.py`): it is started when it is needed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bridge import TemporaryFailure

PROGRAM = Path(__file__).with_name("worker.py")
GRACE = 1.0
"""Seconds after its deadline in which a job's process has to be gone."""


class Worker:
    """Has jobs done, each in a process of its own. May be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def __del__(self) -> None:
        self.stop()

    def ask(self, job: Mapping[str, object], seconds: float) -> dict[str, Any]:
        """The reply to a job. Raises `TemporaryFailure` where there is none within `seconds`, or none at all."""
        deadline = time.monotonic() + seconds
        question = json.dumps({**job, "deadline": deadline}).encode()
        try:
            answer = self._exchange(question, deadline)
            # Not taken: the program was idle for long and ended at this very moment.
            if not answer and time.monotonic() < deadline:
                answer = self._exchange(question, deadline)
        except TimeoutError:
            answer = b" "
        except OSError as error:
            raise TemporaryFailure(f"the process that sends cannot be run: {os.strerror(error.errno or 0)}") from error
        if answer.strip():
            reply: dict[str, Any] = json.loads(answer)
            return reply
        if answer and time.monotonic() >= deadline:
            raise TemporaryFailure(f"it was not done within {seconds:g} s; check that the service can be reached")
        raise TemporaryFailure("the process that sends ended without an answer: is apprise installed, is memory short?")

    def stop(self) -> None:
        """End the program, after the jobs under way."""
        with self._lock:
            self._end()

    def _exchange(self, question: bytes, deadline: float) -> bytes:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._hand_over(theirs)
            ours.settimeout(max(0.0, deadline - time.monotonic()) + GRACE)
            try:
                ours.sendall(question)
                ours.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: ours.recv(65536), b""))
            except ConnectionError:  # it has ended meanwhile
                return b""

    def _hand_over(self, connection: socket.socket) -> None:
        with self._lock:
            try:
                socket.send_fds(self._running(), [b"."], [connection.fileno()])
            except ConnectionError:  # it has ended
                self._end()
                socket.send_fds(self._running(), [b"."], [connection.fileno()])

    def _running(self) -> socket.socket:
        """The control socket of a program that runs."""
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._control is None:
            self._control, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603  # our own program
                    [sys.executable, "-P", str(PROGRAM)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # what a service writes there may hold secrets
                    env=_environment(),
                    start_new_session=True,
                )
        return self._control

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            try:
                self._process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = self._control = None


def _environment() -> dict[str, str]:
    """Ours without what would reroute requests or sign them in (proxies, `.netrc`), nor the secrets of callbridge."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith("CALLBRIDGE_")
    }
    return {**kept, "NETRC": os.devnull}
