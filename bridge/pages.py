"""The pages of the connectors: each connector's in an application of its own, apart from the intake and the others.

What a connector's pages do (an error, a hook of theirs for every request, streams that never end) stays within them:
they have threads of their own, and when they use these up, further requests are answered 503.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask

from bridge.clients import Network, find_client

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

RESERVED = frozenset({"event", "healthz", "readyz", "metrics"})
"""First words of paths that are the bridge's own."""
PAGES_AT_ONCE = 16
"""Requests for the pages of one connector at the same time, besides its streams."""

_log = logging.getLogger("callbridge.pages")


class _Application(Flask):
    def log_exception(self, exc_info: Any) -> None:
        """Without the path, which Flask would name: it may hold a secret."""
        _log.error("a page of %s failed", self.name, exc_info=exc_info)


class Pages:
    """The pages of one connector below `path` (`/popup/`), of whose requests up to `streams` may be long-lived.

    Raises whatever is wrong with the blueprint.
    """

    def __init__(self, name: str, path: str, blueprint: Blueprint, streams: int) -> None:
        if not isinstance(blueprint, Blueprint):
            raise TypeError(f"bridge_pages returned a {type(blueprint).__name__}, not a flask.Blueprint")
        self.name = name
        self.path = path
        self.threads = PAGES_AT_ONCE + streams
        self._room = threading.Semaphore(self.threads)
        self._application = _Application(f"connectors.{name}", static_folder=None)
        self._application.config["SESSION_COOKIE_PATH"] = path
        self._application.register_blueprint(blueprint, url_prefix=path)

    def answer(
        self, environ: WSGIEnvironment, start_response: StartResponse, stopping: threading.Event
    ) -> Iterable[bytes]:
        """Answer a request; 503 where too many are under way, or the bridge is stopping."""
        if stopping.is_set() or not self._room.acquire(blocking=False):
            start_response("503 Service Unavailable", [("Content-Type", "text/plain"), ("Retry-After", "2")])
            return [b"too many requests are under way"]
        answer = _Answer(self, stopping)
        try:
            answer.body = self._application(environ, answer.started(start_response))
        except BaseException:  # noqa: BLE001  # a plugin may raise anything, SystemExit too
            self._room.release()
            _log.exception("a page of connectors.%s failed", self.name)
            start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
            return [b"internal server error"]
        return answer

    def done(self) -> None:
        """A request is over."""
        self._room.release()


class _Answer:
    """The body of an answer, on its way. A stream ends when the bridge stops."""

    def __init__(self, pages: Pages, stopping: threading.Event) -> None:
        self.body: Iterable[bytes] = ()
        self._pages = pages
        self._stopping = stopping
        self._is_stream = False
        self._iterator: Iterator[bytes] | None = None
        self._open = True

    def started(self, start_response: StartResponse) -> Callable[..., Any]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            self._is_stream = not any(name.lower() == "content-length" for name, _ in headers)
            return start_response(status, headers, exc_info)

        return start

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._is_stream and self._stopping.is_set():
            raise StopIteration
        try:
            self._iterator = self._iterator or iter(self.body)
            return next(self._iterator)
        except StopIteration:
            raise
        except BaseException:
            _log.exception("a page of connectors.%s broke off", self._pages.name)
            raise

    def close(self) -> None:
        """Called by the server at the end, whatever the end was."""
        if not self._open:
            return
        self._open = False
        try:
            close = getattr(self.body, "close", None)
            if close is not None:
                close()
        except BaseException:  # noqa: BLE001  # a plugin may raise anything
            _log.exception("a page of connectors.%s could not be closed", self._pages.name)
        finally:
            self._pages.done()


class Mounts:
    """Sends each request to the pages its path lies below, or on to the bridge's own application.

    Pages see where a request really came from (`REMOTE_ADDR`, and `wsgi.url_scheme` by `X-Forwarded-Proto`), as far as
    trusted proxies say so. Once `stopping` is set, no more requests for pages are taken, and each stream ends as soon
    as it would say something.
    """

    def __init__(
        self,
        pages: Sequence[Pages],
        inner: WSGIApplication,
        trusted_proxies: Sequence[Network],
        stopping: threading.Event,
    ) -> None:
        self._inner = inner
        self._trusted_proxies = trusted_proxies
        self._stopping = stopping
        self._by_first_word: dict[str, list[Pages]] = {}
        for one in sorted(pages, key=lambda one: -len(one.path)):  # `/popup/second/` before `/popup/`
            self._by_first_word.setdefault(one.path.split("/")[1], []).append(one)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        for pages in self._by_first_word.get(path.split("/", 2)[1] if path else "", ()):
            if f"{path}/".startswith(pages.path):
                return pages.answer(self._seen_through(environ), start_response, self._stopping)
        return self._inner(environ, start_response)

    def _seen_through(self, environ: WSGIEnvironment) -> WSGIEnvironment:
        peer = find_client({"REMOTE_ADDR": environ.get("REMOTE_ADDR", "")}, ())
        if not peer.is_within(self._trusted_proxies):
            return environ
        client, said = find_client(environ, self._trusted_proxies), environ.get("HTTP_X_FORWARDED_PROTO")
        scheme = said if said in ("http", "https") else environ["wsgi.url_scheme"]
        return {**environ, "REMOTE_ADDR": str(client.address or ""), "wsgi.url_scheme": scheme}
