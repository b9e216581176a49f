"""Answers that are known later: what granian gets, what any other server gets, and that they keep no thread waiting."""

from __future__ import annotations

import socket
import sqlite3
import sys
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest
import requests
from flask import Flask, Response

from bridge.gateway import gateway
from bridge.promises import Promised, Tell
from bridge.testing import BridgeProcess

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Exchange:
    """What granian sends."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, dict[str, str], bytes]] = []

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.sent.append((status, dict(headers), body))

    def response_iter(self, status: int, headers: list[tuple[str, str]], body: Any) -> None:
        pieces = []
        try:
            while True:
                pieces.append(body.__next__())
        except StopIteration:
            body.close()
        self.sent.append((status, dict(headers), b"".join(pieces)))


@pytest.fixture
def told() -> list[Tell]:
    """Whom to tell how the promises went, in order."""
    return []


@pytest.fixture
def app(told: list[Tell]) -> Flask:
    """An application with an answer that is known and one that is not."""
    app = Flask("test")
    app.add_url_rule("/known", "known", lambda: "now")
    app.add_url_rule("/promised", "promised", lambda: Promised("kept", told.append, mimetype="text/plain"))
    return app


@pytest.fixture
def ask(app: Flask) -> Callable[[str], Exchange]:
    def ask_one(path: str) -> Exchange:
        exchange = Exchange()
        answer = gateway(app, {}, None)
        answer(
            exchange,
            {
                "REQUEST_METHOD": "GET",
                "PATH_INFO": path,
                "SERVER_NAME": "x",
                "SERVER_PORT": "80",
                "SERVER_PROTOCOL": "HTTP/1.1",
                "wsgi.url_scheme": "http",
                "QUERY_STRING": "",
            },
        )
        return exchange

    return ask_one


def test_an_answer_that_is_known_is_sent_at_once(ask: Callable[[str], Exchange]) -> None:
    ((status, headers, body),) = ask("/known").sent
    assert (status, headers["Content-Length"], body) == (200, "3", b"now")


def test_a_promised_answer_is_sent_when_the_promise_is_kept(ask: Callable[[str], Exchange], told: list[Tell]) -> None:
    exchange = ask("/promised")
    assert exchange.sent == []
    told[0](None)
    ((status, headers, body),) = exchange.sent
    assert (status, headers["Content-Type"], headers["Content-Length"], body) == (
        200,
        "text/plain; charset=utf-8",
        "4",
        b"kept",
    )


def test_what_is_answered_instead_is_sent_when_it_is_broken(ask: Callable[[str], Exchange], told: list[Tell]) -> None:
    exchange = ask("/promised")
    told[0](Response("no room", 503, {"Retry-After": "3"}))
    ((status, headers, body),) = exchange.sent
    assert (status, headers["Retry-After"], body) == (503, "3", b"no room")


def test_a_server_that_knows_of_no_promises_waits_for_it(app: Flask) -> None:
    app.add_url_rule("/broken", "broken", lambda: Promised("", lambda tell: tell(Response("no", 503))))
    app.add_url_rule("/kept", "kept", lambda: Promised("yes", lambda tell: tell(None)))
    client = app.test_client()
    assert (client.get("/kept").status_code, client.get("/kept").text) == (200, "yes")
    assert (client.get("/broken").status_code, client.get("/broken").text) == (503, "no")


THREADS = 8


class FewThreads(BridgeProcess):
    """A bridge with so many threads for requests."""

    _set = f"from bridge import cli, server; server.BLOCKING_THREADS = {THREADS}; cli.main()"
    _program = (sys.executable, "-c", _set)


def test_more_posts_than_there_are_threads_wait_for_the_store_and_the_bridge_still_answers(tmp_path: Path) -> None:
    form = b"event_type=ringing&call_uuid=%d"
    with ExitStack() as stack:
        bridge = stack.enter_context(closing(FewThreads(tmp_path, "[intake]\ntokens = []")))
        bridge.start()
        other = stack.enter_context(closing(sqlite3.connect(bridge.database, isolation_level=None)))
        other.execute("BEGIN IMMEDIATE")
        lines = [
            stack.enter_context(closing(socket.create_connection(("127.0.0.1", bridge.port), timeout=20)))
            for _ in range(4 * THREADS)
        ]
        for number, line in enumerate(lines):
            body = form % number
            line.sendall(
                b"POST /event HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            )
        assert requests.get(f"{bridge.url}/healthz", timeout=3).text == "ok"
        other.execute("ROLLBACK")
        answers = [line.makefile("rb").read() for line in lines]
    assert [answer.split()[1] for answer in answers] == [b"200"] * len(lines)
    assert [answer.rpartition(b"\r\n")[2] for answer in answers] == [b"%d" % number for number in range(len(lines))]
