"""Between granian and the WSGI application: as granian's own gateway, and it lets an answer come later."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from granian.wsgi import ResponseIterWrap

from bridge.promises import Later

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

ALWAYS = {
    "GATEWAY_INTERFACE": "CGI/1.1",
    "SCRIPT_NAME": "",
    "SERVER_SOFTWARE": "Granian",
    "wsgi.input_terminated": True,  # the stream ends where the body ends
    "wsgi.multiprocess": False,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.version": (1, 0),
}


class Exchange(Protocol):
    """granian's end of one request: takes the answer once, from any thread."""

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...

    def response_iter(self, status: int, headers: list[tuple[str, str]], body: object) -> None: ...


class _Start:
    """WSGI's `start_response`."""

    __slots__ = ("headers", "status")

    def __init__(self) -> None:
        self.status = 200
        self.headers: list[tuple[str, str]] = []

    def __call__(self, status: str, headers: list[tuple[str, str]], *_: object) -> None:
        self.status = int(status[:3])
        self.headers = headers


def gateway(
    application: WSGIApplication, _options: Mapping[str, object], _log_format: str | None
) -> Callable[[Exchange, dict[str, Any]], None]:
    """What granian calls for each request; it gives its options and the format of an access log, of which there is
    none."""
    always = {**os.environ, **ALWAYS, "wsgi.errors": sys.stderr}

    def answer(exchange: Exchange, environ: dict[str, Any]) -> None:
        start = _Start()
        body = application(always | environ, start)  # type: ignore[arg-type]  # no `write`: nothing here uses it
        if isinstance(body, Later):
            body.begin(lambda whole: exchange.response_bytes(start.status, start.headers, whole))
        else:
            exchange.response_iter(start.status, start.headers, ResponseIterWrap(body))  # type: ignore[no-untyped-call]  # granian has no types here

    return answer
