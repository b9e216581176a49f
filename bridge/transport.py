"""What carries requests: connections that are kept alive, behind an adapter of requests'.

Connectors send one small request after the other to the same server. What requests and urllib3 do besides for each of
them (cookies, redirects, retries, pools, the environment) costs several times the exchange itself and is not wanted
here. So the request goes out as one piece, and the standard library reads the answer.

requests' own adapter stays the way in: where the `responses` library stands in for the network, it stands in here too.
"""

from __future__ import annotations

import functools
import http.client
import io
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from socket import socket
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPResponse
from urllib3.exceptions import LocationValueError
from urllib3.util.wait import wait_for_read

from bridge.exchange import dial, tls_context

KEPT_SERVERS = 10
"""Connections to so many servers are kept, where each is used by as many threads as may be."""


class Adapter(HTTPAdapter):
    """An adapter of requests whose connections keep to the deadline of the `current` exchange.

    All go through `proxy`, a URL, where there is one. Up to `connections` threads may use it at once.
    """

    def __init__(self, connections: int, proxy: str | None) -> None:
        super().__init__()
        self._proxy = None
        if proxy is not None:
            parts = urlsplit(proxy)
            headers = tuple(self.proxy_headers(proxy).items())
            self._proxy = _Proxy(parts.hostname or "", parts.port or 80, headers)
        self._most_kept = KEPT_SERVERS * connections
        self._kept: deque[_Connection] = deque()
        self._changing = threading.Lock()
        weakref.finalize(self, _close_all, self._kept)  # where nobody closes it

    def close(self) -> None:
        """Close the kept connections. It can be used on."""
        with self._changing:
            _close_all(self._kept)
        super().close()

    def urlopen(
        self, *, method: str, url: str, headers: Mapping[str, str], body: bytes | None, **_options: object
    ) -> Answer:
        """Send a request to `url` and return the answer as soon as its head is there.

        Raises OSError and HTTPException, urllib3's LocationValueError where nothing can be dialled, and `Misconfigured`
        where that may not be.
        """
        way = _way_to(url, self._proxy)
        connection = self._take(way.server) or _Connection(way.server, way.server.connect())
        answer = http.client.HTTPResponse(connection.socket, method=method)
        try:
            own = {name: value for name, value in way.headers if name not in headers}
            request = _head(method, way.target, {**own, **headers}) + (body or b"")
            with suppress(BrokenPipeError, ConnectionResetError):  # the server may have answered before it read all
                connection.socket.sendall(request)
            _begin(answer)
        except BaseException:
            answer.close()
            connection.socket.close()
            raise
        return Answer(method, answer, connection, self._keep)

    def _take(self, server: _Server) -> _Connection | None:
        """A kept connection to a server, the last that was used; None without one that is still open."""
        while True:
            with self._changing:
                found = next((one for one in reversed(self._kept) if one.server == server), None)
                if found is None:
                    return None
                self._kept.remove(found)
            if found.is_open():
                return found
            found.socket.close()

    def _keep(self, connection: _Connection) -> None:
        """Keep a connection; beyond the limit the one that was not used for longest gives way."""
        with self._changing:
            self._kept.append(connection)
            surplus = self._kept.popleft() if len(self._kept) > self._most_kept else None
        if surplus is not None:
            surplus.socket.close()

    # --- what requests asks before it calls `urlopen`, and after ------------------------------------------------------

    def get_connection_with_tls_context(self, *_arguments: Any, **_options: Any) -> Any:
        """Where urllib3 has a pool for each server."""
        return self

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave the certificates to the one TLS context: requests would load them anew for every connection."""

    def request_url(self, request: requests.PreparedRequest, _proxies: Any) -> str:
        """The whole URL: what of it is sent depends on the way."""
        return request.url or ""

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> Any:
        """The answer as it is; or as requests has it, where `responses` made one up."""
        return resp if isinstance(resp, Answer) else super().build_response(req, resp)


class Answer:
    """An answer whose body is to be read within a `with` block: at its end the connection is kept, or closed where the
    answer is not over. It has what is used of requests' own."""

    def __init__(
        self,
        method: str,
        answer: http.client.HTTPResponse,
        connection: _Connection,
        keep: Callable[[_Connection], None],
    ) -> None:
        self._method = method
        self._answer = answer
        self._decoded: HTTPResponse | None = None
        self._connection = connection
        self._keep = keep
        self.raw = self
        self.status_code = answer.status
        self.headers: CaseInsensitiveDict[str] = CaseInsensitiveDict()
        for name, value in answer.headers.items():
            said = " ".join(value.split()) if "\n" in value else value  # it may go on in the next line
            self.headers[name] = f"{self.headers[name]}, {said}" if name in self.headers else said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        # After 101 the server speaks another protocol: that must not be taken for the answer to the next request.
        is_over = self._answer.isclosed() and not self._answer.will_close and self.status_code >= HTTPStatus.OK
        self._answer.close()
        if is_over and failed is None:
            self._keep(self._connection)
        else:
            self._connection.socket.close()

    def read(self, amt: int, *, decode_content: bool) -> bytes:
        """The first `amt` bytes of the body, decompressed if `decode_content`.

        Raises OSError, HTTPException where it ends too soon, and urllib3's HTTPError where it is not compressed as it
        says.
        """
        if decode_content and "Content-Encoding" in self.headers:
            # Held: where it goes, it closes the answer, which then looks as if it had been read to its end.
            self._decoded = HTTPResponse(
                self._answer, self.headers, self.status_code, preload_content=False, request_method=self._method
            )
            return self._decoded.read(amt, decode_content=True)
        part = self._answer.read(amt)
        if len(part) < amt and self._answer.length:
            raise http.client.IncompleteRead(part, self._answer.length)
        return part


class _Reader(io.BufferedReader):
    """Reads no more than what is asked for: the standard library takes a chunk of -1 bytes for one without an end."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            raise http.client.HTTPException("a chunk of less than nothing")
        return super().read(size)


def _begin(answer: http.client.HTTPResponse) -> None:
    """Read the head of the answer. Raises OSError, and HTTPException where it is none."""
    answer.fp = _Reader(answer.fp.detach())
    answer.begin()
    while answer.status < HTTPStatus.OK and answer.status != HTTPStatus.SWITCHING_PROTOCOLS:
        answer.headers = None  # type: ignore[assignment]  # an interim answer, such as 103: the last one follows
        answer.begin()
    if len(set(answer.headers.get_all("Content-Length", ()))) > 1:
        raise http.client.HTTPException("nobody can tell where the answer ends")


@dataclass(slots=True, eq=False)
class _Connection:
    """An open connection."""

    server: _Server
    socket: socket

    def is_open(self) -> bool:
        """Whether the other side has neither hung up nor said what nobody asked for, as far as can be seen."""
        return not wait_for_read(self.socket, timeout=0)


def _close_all(connections: deque[_Connection]) -> None:
    with suppress(IndexError):
        while True:
            connections.pop().socket.close()


# --- the way to a server ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Proxy:
    """An HTTP proxy, and the headers by which it knows us."""

    host: str
    port: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)  # the password is in them


@dataclass(frozen=True, slots=True)
class _Server:
    """Where a connection ends. `proxy`: it is asked for a tunnel to there."""

    host: str
    port: int
    is_tls: bool = False
    proxy: _Proxy | None = None

    def connect(self) -> socket:
        """A socket that requests can be sent on. Raises what `dial` does, OSError and HTTPException."""
        connection = dial(self.host, self.port) if self.proxy is None else self._tunnel(self.proxy)
        if not self.is_tls:
            return connection
        try:
            # Without the dot of the root, which no certificate holds.
            return tls_context().wrap_socket(connection, server_hostname=self.host.rstrip("."))
        except BaseException:
            connection.close()
            raise

    def _tunnel(self, proxy: _Proxy) -> socket:
        there = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        with ExitStack() as opened:
            connection = opened.enter_context(dial(proxy.host, proxy.port))
            connection.sendall(_head("CONNECT", there, {"Host": there, **dict(proxy.headers)}))
            answer = opened.enter_context(http.client.HTTPResponse(connection, method="CONNECT"))
            answer.begin()
            if answer.status != HTTPStatus.OK:
                raise OSError(f"Tunnel connection failed: {answer.status}")
            opened.pop_all()
            answer.close()
            return connection


@dataclass(frozen=True, slots=True)
class _Way:
    """How the requests to one URL are sent: to whom, what for, and under which headers of the connection's own."""

    server: _Server
    target: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(repr=False)


@functools.lru_cache(maxsize=256)  # a connector's URL is the same each time
def _way_to(url: str, proxy: _Proxy | None) -> _Way:
    parts = urlsplit(url)
    try:
        host, port = parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (KeyError, ValueError):
        host, port = "", 0
    if not host:
        raise LocationValueError("no address of a server")
    path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    netloc = parts.netloc.rpartition("@")[2]
    own = (("Host", netloc), ("Accept-Encoding", "identity"))
    if proxy is not None and parts.scheme == "http":
        return _Way(_Server(proxy.host, proxy.port), f"http://{netloc}{path}", own + proxy.headers)
    return _Way(_Server(host, port, parts.scheme == "https", proxy), path, own)


def _head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
    """The head of a request. What is in it holds no line breaks: the client has made sure of that."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "\r\n"]
    return "\r\n".join(lines).encode("latin-1")
