"""A connector as the core would make it, and stand-ins for the services it sends to."""

from __future__ import annotations

import base64
import socketserver
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from apprise.plugins import url_to_dict
from callbridge_apprise import connector, worker
from callbridge_apprise.connector import AppriseConnector
from callbridge_apprise.process import Worker
from callbridge_apprise.settings import AppriseSettings, target_of

from bridge import Delivery, Event, Locale, Receipt, Skip
from bridge.testing import RecordingSink, connector_context, recording_sink, sample_event

Connect = Callable[..., AppriseConnector]
Deliver = Callable[..., Receipt | Skip]


@pytest.fixture
def sink() -> Iterator[RecordingSink]:
    """A stand-in for services that are reached by HTTP."""
    with recording_sink() as one:
        yield one


class SharedWorker(Worker):
    """A worker that outlives the connectors that use it."""

    def stop(self) -> None:
        pass

    def end(self) -> None:
        super().stop()


@pytest.fixture(scope="session")
def shared_worker() -> Iterator[SharedWorker]:
    worker = SharedWorker()
    yield worker
    worker.end()


@pytest.fixture
def connect(shared_worker: SharedWorker, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Make a connector of URLs, as they stand in the config. They share a process: each starts in half a second."""
    monkeypatch.setattr(connector, "Worker", lambda: shared_worker)

    def make(*urls: str, timeout: float = 20.0, locale: Locale = "tr", **settings: Any) -> AppriseConnector:
        options = AppriseSettings.model_validate({"urls": urls, **settings})
        return AppriseConnector(options, connector_context("team_chat", locale=locale, timeout=timeout))

    return make


@pytest.fixture
def deliver(connect: Connect) -> Deliver:
    """Send an event to one URL."""

    def send(url: str, event: Event | None = None, **options: Any) -> Receipt | Skip:
        return connect(url, **options).bridge_deliver(delivery_to(target_of(url), event))

    return send


def delivery_to(target: str, event: Event | None = None) -> Delivery:
    """The first try of a missed call."""
    return Delivery(id="dlv_1", connector="team_chat", target=target, attempt=1, event=event or sample_event())


@pytest.fixture(scope="session")
def do() -> Callable[[str], worker.Reply]:
    """Have a job done in this process, where `responses` stands in for the services' own hosts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of apprise's own imports
        url_to_dict("json://localhost")  # type: ignore[no-untyped-call]

    def send(url: str, body: str = "body", title: str = "title") -> worker.Reply:
        return worker.do({"url": url, "title": title, "body": body, "deadline": time.monotonic() + 5})

    return send


class MailServer(socketserver.ThreadingTCPServer):
    """A stand-in for a mail server: it keeps what it gets; `answers` has what it says to a command instead of yes."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _MailSession)
        self.port: int = self.server_address[1]
        self.answers: dict[str, str] = {}
        self.logins: list[bytes] = []
        self.recipients: list[str] = []
        self.mails: list[str] = []


class _MailSession(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self._say("220 stand-in")
        while line := self.rfile.readline().decode().strip():
            verb, _, rest = line.partition(" ")
            if answer := self.server.answers.get(verb.upper()):
                self._say(answer)
                continue
            match verb.upper():
                case "EHLO":
                    self._say("250-stand-in\r\n250 AUTH PLAIN")
                case "AUTH":
                    self.server.logins.append(base64.b64decode(rest.split()[1]))
                    self._say("235 welcome")
                case "RCPT":
                    self.server.recipients.append(rest)
                    self._say("250 ok")
                case "DATA":
                    self._say("354 go on")
                    lines = iter(lambda: self.rfile.readline().decode(), ".\r\n")
                    self.server.mails.append("".join(lines))
                    self._say("250 taken")
                case "QUIT":
                    self._say("221 bye")
                    return
                case _:
                    self._say("250 ok")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture
def mail() -> Iterator[MailServer]:
    server = MailServer()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()
