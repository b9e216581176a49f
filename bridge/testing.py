"""The test kit: a bridge in a process of its own, a sink that records what arrives, sample events.

For the core's own tests and for those of plugin authors. Nothing in it sleeps to hope: what has to wait, waits for
something that happens, within a bound.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import requests

from bridge.hookspecs import ConnectorContext
from bridge.http import HttpClient
from bridge.model import Call, CallData, Event, Locale, Number

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds `eventually` waits at most: long for a busy machine, never used up on a well one."""


def eventually(look: Callable[[], T | None], what: str = "it", within: float = PATIENCE) -> T:
    """Look again and again until there is something true to see; returns it. Raises AssertionError after `within`
    seconds."""
    deadline = time.monotonic() + within
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {within:g} s; last seen: {seen!r}")
        time.sleep(0.01)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# --- a sink -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request the sink got: when (`time.monotonic`), and what."""

    at: float
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sink answers; `delay` is in seconds."""

    status: int = 200
    body: bytes = b"ok"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0


class RecordingSink:
    """A local HTTP server that records every request and answers as it is told."""

    def __init__(self, port: int = 0) -> None:
        self.arrivals: list[Arrival] = []
        self._answer: Callable[[Arrival], Answer] = lambda _: Answer()
        self._lock = threading.Lock()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                answer = sink._record(
                    Arrival(time.monotonic(), self.command, self.path, dict(self.headers.items()), body)
                )
                time.sleep(answer.delay)
                try:
                    self.send_response(answer.status)
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(answer.body)))
                    self.end_headers()
                    self.wfile.write(answer.body)
                except OSError:
                    self.close_connection = True  # the other side did not wait

            do_GET = do_POST = do_PUT = do_PATCH = do_OPTIONS = do_HEAD = _handle  # noqa: N815  # the server's names
            do_DELETE = do_PROPFIND = do_REPORT = _handle  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

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

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()

    def _record(self, arrival: Arrival) -> Answer:
        with self._lock:
            self.arrivals.append(arrival)
            return self._answer(arrival)


@contextmanager
def recording_sink() -> Iterator[RecordingSink]:
    """A sink that is closed at the end."""
    sink = RecordingSink()
    try:
        yield sink
    finally:
        sink.close()


# --- a bridge -----------------------------------------------------------------------------------------------------


class BridgeProcess:
    """A real bridge: `callbridge serve` in a process of its own, with its config and store in `folder`.

    `config` is TOML without [server] and [store], which are made here (`server` adds keys to the former). `environ` is
    added to the environment.
    """

    def __init__(
        self, folder: Path, config: str, *, server: str = "", environ: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = folder / "bridge.toml"
        self.database = folder / "callbridge.db"
        self.log = folder / "bridge.log"
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CALLBRIDGE_")},
            **(environ or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.config.write_text(
            f'{_before_tables(config)}\n[server]\nport = {self.port}\n{server}\n[store]\nurl = "sqlite:///{self.database}"\n'
            f"{_tables(config)}",
            encoding="utf-8",
        )

    def start(self, *, until_ready: bool = True) -> None:
        """Start it, and wait until it is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # our own program
                [sys.executable, "-m", "bridge.cli", "serve", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self._environ,
            )
        if until_ready:
            eventually(self._is_ready, f"the start of the bridge ({self.log.read_text()})")

    def post(self, path: str, form: Mapping[str, str] | bytes | None = None, **options: Any) -> requests.Response:
        """Post a form (or a raw body) to a path of the bridge."""
        options.setdefault("timeout", PATIENCE)
        return requests.post(f"{self.url}{path}", data=form, **options)  # noqa: S113  # there is one: see above

    def get(self, path: str) -> requests.Response:
        """Get a path of the bridge."""
        return requests.get(f"{self.url}{path}", timeout=PATIENCE)

    def run(self, *arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of `callbridge` with this bridge's config, beside it."""
        return subprocess.run(  # noqa: S603  # our own program
            [sys.executable, "-m", "bridge.cli", *arguments, "--config", str(self.config)],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**self._environ, **(environ or {})},
            timeout=60,
            check=False,
        )

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        """What a command prints with --json."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    @property
    def pid(self) -> int:
        """The process id of the main process."""
        assert self._process is not None
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send a signal to the main process, unless it has ended."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, within: float = 15.0) -> int:
        """Wait for its end; returns the exit code."""
        assert self._process is not None
        return self._process.wait(within)

    def stop(self) -> int:
        """SIGTERM, and wait; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """kill -9 of the main process, and wait for it."""
        self.signal(signal.SIGKILL)
        self.wait()

    def close(self) -> None:
        """Kill it, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the bridge ended: {self.log.read_text()}")
        try:
            return requests.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False


@contextmanager
def running_bridge(
    folder: Path, config: str, *, server: str = "", environ: Mapping[str, str] | None = None
) -> Iterator[BridgeProcess]:
    """A bridge that is ready, and is killed at the end if it still runs."""
    bridge = BridgeProcess(folder, config, server=server, environ=environ)
    try:
        bridge.start()
        yield bridge
    finally:
        bridge.close()


def _before_tables(config: str) -> str:
    return config.partition("\n[")[0] if not config.lstrip().startswith("[") else ""


def _tables(config: str) -> str:
    return config.removeprefix(_before_tables(config))


# --- records ------------------------------------------------------------------------------------------------------


def sample_event(event_type: str = "call.missed", **call: Any) -> Event:
    """An event of a call from (0212) 320 50 62 to extension 1001 through queue 200; `call` changes fields of it."""
    started_at = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    state = event_type.removeprefix("call.") if event_type.startswith("call.") else "ringing"
    fields: dict[str, Any] = {
        "id": "1234",
        "direction": "inbound",
        "state": state,
        "caller": Number(raw="02123205062", e164="+902123205062", display="(0212) 320 50 62", kind="external"),
        "called": Number(raw="1001", e164=None, display="1001", kind="extension"),
        "outside_number": None,
        "dialed_user": "1001",
        "connected_user": None,
        "rang": ("1001",),
        "queue": "200",
        "started_at": started_at,
        "answered_at": None,
        "ended_at": started_at.replace(second=20),
        "talk_seconds": 0,
        "wait_seconds": 20,
        "queue_wait_seconds": 15,
        "hung_up_by": "caller",
        "cause": "ORIGINATOR_CANCEL",
        "cause_text": "Caller gave up",
        "recording_present": False,
        "failure_status": None,
        "failure_phrase": None,
    }
    received_at = started_at.replace(second=21)
    return Event(
        id="evt_sample",
        type=event_type,
        timestamp=received_at,
        data=CallData(
            source="bulutsantralim",
            tenant="101",
            received_at=received_at,
            call=Call(**{**fields, **call}),
            raw={"event_type": "hangup", "call_uuid": "1234"},
        ),
    )


def connector_context(name: str = "sample", *, locale: Locale = "en", timeout: float = 5.0) -> ConnectorContext:
    """What the core gives a connector."""
    log = logging.getLogger(f"callbridge.connectors.{name}")
    return ConnectorContext(name=name, locale=locale, timeout=timeout, http=HttpClient(timeout=timeout), log=log)
