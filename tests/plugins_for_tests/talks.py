"""Servers on the loopback interface that say what a test has them say, over plain sockets and TLS."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import trustme

from bridge import HttpClient, TemporaryFailure

Talk = Callable[[socket.socket, int], None]
"""One side of a conversation: the accepted connection, and how many were accepted before it."""

SOON = 0.25
"""A deadline in seconds for servers that never keep it."""


@contextmanager
def serving(talk: Talk, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server on a free port, as `host:port`; a connection is closed when `talk` is done with it, or at the end."""
    threads: list[threading.Thread] = []
    opened: list[socket.socket] = []

    def serve(accepted: socket.socket, number: int) -> None:
        with accepted, suppress(OSError):  # the client may hang up: that is what is tested
            connection = tls.wrap_socket(accepted, server_side=True) if tls else accepted
            with connection:
                opened.append(connection)
                talk(connection, number)

    def accept() -> None:
        with suppress(OSError):  # the listener was shut down
            while True:
                connection, _ = listener.accept()
                threads.append(threading.Thread(target=serve, args=(connection, len(threads))))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for connection in opened:
                with suppress(OSError):  # closed already
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def read_request(connection: socket.socket) -> bytes:
    """One request, head and body; empty where the client hung up."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            return b""
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while length and len(body) < int(length[1]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(body: bytes = b"ok", *, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def answering(reply: bytes, connections: list[int] | None = None) -> Talk:
    """Answer every request with the same bytes, on kept connections (whose numbers are noted in `connections`)."""

    def talk(connection: socket.socket, number: int) -> None:
        if connections is not None:
            connections.append(number)
        while read_request(connection):
            connection.sendall(reply)

    return talk


def server_tls(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def failure_of(client: HttpClient, url: str, **arguments: Any) -> str:
    with pytest.raises(TemporaryFailure) as caught:
        client.request("POST", url, **arguments)
    return str(caught.value)
