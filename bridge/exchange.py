"""One exchange with a server, and the sockets that keep to its deadline.

requests' own timeout is per read, so a server that drips one byte a second would hold a thread for ever. Here every
socket operation of an exchange (name lookup, connecting, TLS, sending, headers, body) is given only what is left of the
exchange's deadline: the sockets below ask the thread's `current` exchange each time. So no thread has to watch, and no
connection can be cut whose exchange has already ended.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import socket
import ssl
import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import requests.utils
from urllib3.exceptions import LocationParseError

from bridge.destinations import Destinations
from bridge.dialing import permitted


@dataclass(slots=True)
class Exchange:
    """One request and its answer, in one thread. `deadline` is on the monotonic clock, in seconds; `destinations` says
    what may be dialled."""

    deadline: float
    destinations: Destinations
    connected: bool = False
    sent: bool = False
    heard: bool = False

    def left(self) -> float:
        """Seconds until the deadline. Raises TimeoutError where there are none."""
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("the deadline has passed")
        return seconds

    @property
    def went_stale(self) -> bool:
        """It went out on a kept connection and not a byte came back: the server may have closed it long ago."""
        return self.sent and not self.connected and not self.heard


current: ContextVar[Exchange] = ContextVar("callbridge_http_exchange")
"""The exchange that this thread is in."""


TOLERANCE = 0.02
"""Seconds by which a socket may miss its deadline: to set a socket's timeout is a system call, and gives up the
interpreter lock, so it is not done anew for every few bytes."""


class _Socket(socket.socket):
    def recv_into(self, *args: Any) -> int:
        exchange = current.get()
        self._keep_to(exchange)
        count = super().recv_into(*args)
        exchange.heard = exchange.heard or count > 0
        return count

    def sendall(self, *args: Any) -> None:
        exchange = current.get()
        exchange.sent = True
        self._keep_to(exchange)
        super().sendall(*args)

    def send(self, *args: Any) -> int:  # what sendall of a TLS socket is made of
        self._keep_to(current.get())
        return super().send(*args)

    def _keep_to(self, exchange: Exchange) -> None:
        left = exchange.left()
        # Never too soon: what times out before the deadline would look like a kept connection that went stale.
        if not left <= (self.gettimeout() or 0.0) <= left + TOLERANCE:
            self.settimeout(left + TOLERANCE / 2)


class _TlsSocket(_Socket, ssl.SSLSocket):
    pass


@functools.cache  # loading the certificates takes long and they take memory: once is enough for all clients
def tls_context() -> ssl.SSLContext:
    """Which certificates are trusted, and sockets that keep to the deadline."""
    # What the machine trusts (SSL_CERT_FILE and SSL_CERT_DIR count), and what requests brings.
    context = ssl.create_default_context()
    context.load_verify_locations(requests.utils.DEFAULT_CA_BUNDLE_PATH)
    context.set_alpn_protocols(["http/1.1"])  # there are servers that want to be told
    context.sslsocket_class = _TlsSocket
    return context


def dial(host: str, port: int) -> socket.socket:
    """A socket connected to the first permitted address of `host` that takes it.

    Its timeout is what is left of the deadline of the `current` exchange: a TLS handshake keeps to it. Raises OSError
    where nobody takes it, `Misconfigured` where no address may be dialled, and urllib3's LocationParseError where the
    host is no name at all.
    """
    exchange = current.get()
    exchange.connected = True
    addresses = permitted(host, port, _addresses(host, port, exchange.left()), exchange.destinations)
    failure: OSError | None = None
    for position, (family, kind, protocol, _, address) in enumerate(addresses):
        with contextlib.ExitStack() as opened:
            try:
                connection = opened.enter_context(_Socket(family, kind, protocol))
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # A share of what is left, so that one dead address does not use up the time of the next.
                connection.settimeout(exchange.left() / (len(addresses) - position))
                connection.connect(address)
                connection.settimeout(exchange.left())
            except OSError as error:
                failure = error
            else:
                opened.pop_all()
                return connection
    raise failure or OSError("the name has no address")


def _addresses(host: str, port: int, seconds: float) -> list[Any]:
    """What getaddrinfo knows of `host`; it cannot be interrupted, so it runs beside and is left behind when late."""
    found: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            found.put(error)
        except UnicodeError:  # no name at all, such as "a..b"
            found.put(LocationParseError("no host name"))

    threading.Thread(target=look_up, name="callbridge-resolve", daemon=True).start()
    try:
        result = found.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError("the name was not resolved in time") from None
    if isinstance(result, Exception):
        raise result
    return result
