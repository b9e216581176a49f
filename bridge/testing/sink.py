"""A local HTTP server that records what arrives, and answers well or badly."""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from bridge.testing.waiting import PATIENCE, eventually


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request the sink got: when (`at`, of `time.monotonic`), and its `method`, `path`, `headers` and `body`."""

    at: float
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


Manner = Literal["well", "reset", "silence", "drip", "dripping headers"]
"""How the sink answers: as it should; by resetting the connection; not at all; or a byte now and then, for ever."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sink answers (`status`, `headers`, `body`) after `delay` seconds, and in what `manner`."""

    status: int = 200
    body: bytes = b"ok"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    manner: Manner = "well"


class RecordingSink:
    """A local HTTP server that records every request and answers as it is told."""

    def __init__(self, port: int = 0) -> None:
        self.arrivals: list[Arrival] = []
        self._answer: Callable[[Arrival], Answer] = lambda _: Answer()
        self._lock = threading.Lock()
        self._dark: list[socket.socket] = []
        self._over = threading.Event()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.sink = self
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def answer_with(self, answer: Answer | Sequence[Answer] | Callable[[Arrival], Answer]) -> None:
        """From now on answer so: always the same, one after the other (the last for ever), or as a function says."""
        if isinstance(answer, Answer):
            self._answer = lambda _: answer
        elif callable(answer):
            self._answer = answer
        else:
            left = list(answer)
            self._answer = lambda _: left.pop(0) if len(left) > 1 else left[0]

    def wait_for(self, count: int, within: float = PATIENCE) -> list[Arrival]:
        """The requests, as soon as there are `count` of them."""
        return eventually(
            lambda: list(self.arrivals) if len(self.arrivals) >= count else None, f"arrival {count}", within
        )

    def go_dark(self) -> None:
        """From now on nobody is connected, nor refused: who tries waits for ever, as for a machine that is off."""
        if self._dark:
            return
        self._stop()
        hole = socket.socket()
        hole.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        hole.bind(("127.0.0.1", self.port))
        hole.listen(0)
        # What is not accepted fills the queue; then Linux answers no more.
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", self.port))
        self._dark = [*waiting, hole]

    def close(self) -> None:
        """Stop the server: from now on its port refuses connections."""
        self._stop()
        for one in self._dark:
            one.close()

    def _stop(self) -> None:
        if not self._over.is_set():
            self._over.set()
            self._server.shutdown()
            self._server.server_close()

    def _record(self, arrival: Arrival) -> Answer:
        with self._lock:
            self.arrivals.append(arrival)
            return self._answer(arrival)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    sink: RecordingSink

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that dies or hangs up is no error of the server."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True  # the other side has died
            return
        answer = self.server.sink._record(
            Arrival(time.monotonic(), self.command, self.path, dict(self.headers.items()), body)
        )
        time.sleep(answer.delay)
        try:
            if answer.manner == "well":
                self._write(answer)
            else:
                self._misbehave(answer.manner)
        except OSError:
            self.close_connection = True  # the other side did not wait

    def _write(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def _misbehave(self, manner: Manner) -> None:
        self.close_connection = True
        if manner == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.connection.close()
            return
        if manner != "silence":
            headers = b"X-Slow: " if manner == "dripping headers" else b"Content-Length: 99999\r\n\r\n"
            self.wfile.write(b"HTTP/1.1 200 OK\r\n" + headers)
        while not self.server.sink._over.wait(0.05):
            if manner != "silence":
                self.wfile.write(b"x")

    do_GET = do_POST = do_PUT = do_PATCH = do_OPTIONS = do_HEAD = _handle  # noqa: N815  # the server's names
    do_DELETE = do_PROPFIND = do_REPORT = _handle  # noqa: N815

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def recording_sink() -> Iterator[RecordingSink]:
    """A sink that is closed at the end."""
    sink = RecordingSink()
    try:
        yield sink
    finally:
        sink.close()
