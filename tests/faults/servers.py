"""Servers that misbehave, each in its own way."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import trustme

Talk = Callable[[socket.socket, threading.Event], None]
"""What a server does with a connection, until it is over."""

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
MEGABYTE = 10**6


@contextmanager
def server(talk: Talk, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server on this machine; gives its URL."""
    over = threading.Event()

    def serve(client: socket.socket) -> None:
        with suppress(OSError), client:  # the bridge has hung up
            client.settimeout(60)
            talk(tls.wrap_socket(client, server_side=True) if tls else client, over)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
        over.set()
        listener.shutdown(socket.SHUT_RDWR)


def wrong_name() -> ssl.SSLContext:
    """A certificate for another name, by an authority nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("elsewhere.example").configure_cert(context)
    return context


def black_hole(_client: socket.socket, over: threading.Event) -> None:
    """Take the connection and say nothing."""
    over.wait(120)


def reset_after_headers(client: socket.socket, _over: threading.Event) -> None:
    """Break the connection off in the middle of the answer."""
    client.recv(65536)
    client.sendall(HEAD + b"Content-Length: 100\r\n\r\nhalf")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def slow_drip(client: socket.socket, over: threading.Event) -> None:
    """One byte a second, for ever."""
    client.recv(65536)
    client.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
    while not over.wait(1.0):
        client.sendall(b"x")


def gigabyte(client: socket.socket, _over: threading.Event) -> None:
    """An answer of 1 GB."""
    client.recv(65536)
    client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (1000 * MEGABYTE))
    for _ in range(1000):
        client.sendall(bytes(MEGABYTE))


def gzip_bomb(client: socket.socket, _over: threading.Event) -> None:
    """100 KB that unpack to 100 MB."""
    client.recv(65536)
    packer = zlib.compressobj(level=1, wbits=31)
    body = b"".join([*(packer.compress(bytes(MEGABYTE)) for _ in range(100)), packer.flush()])
    client.sendall(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def endless_redirects(client: socket.socket, _over: threading.Event) -> None:
    """Elsewhere, and from there elsewhere again."""
    client.recv(65536)
    client.sendall(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")
