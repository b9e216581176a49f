"""The receiver of the webhook connector, a process of its own: answers 200 at once and remembers when what arrived.

Prints its port; for each line on its input it prints what has arrived since, as JSON, and forgets it: a list of
[call id and event type, seconds of the monotonic clock].
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from dataclasses import dataclass
from functools import partial

from messages import cut_message

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


@dataclass(slots=True)
class _Client:
    socket: socket.socket
    received: bytes = b""


class Sink:
    """Serves kept-alive connections on one thread. Bodies are kept as they came and read when somebody asks."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._arrived: list[tuple[float, bytes]] = []
        self._told_to_end = False

    def run(self) -> None:
        self._selector.register(self._listener, selectors.EVENT_READ, self._greet)
        self._selector.register(sys.stdin, selectors.EVENT_READ, self._tell)
        print(self._listener.getsockname()[1], flush=True)
        while not self._told_to_end:
            for key, _ in self._selector.select():
                key.data()

    def _tell(self) -> None:
        if not sys.stdin.readline():
            self._told_to_end = True
            return
        print(json.dumps([[_key(body), at] for at, body in self._arrived]), flush=True)
        self._arrived.clear()

    def _greet(self) -> None:
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(connection, selectors.EVENT_READ, partial(self._read, _Client(connection)))

    def _read(self, client: _Client) -> None:
        try:
            data = client.socket.recv(262144)
        except ConnectionError:
            data = b""
        if not data:
            self._selector.unregister(client.socket)
            client.socket.close()
            return
        client.received += data
        if message := cut_message(client.received):
            _, body, client.received = message
            self._arrived.append((time.monotonic(), body))
            client.socket.sendall(ANSWER)


def _key(body: bytes) -> str:
    raw = json.loads(body)["data"]["raw"]
    return f"{raw['call_uuid']} {raw['event_type']}"


if __name__ == "__main__":
    Sink().run()
