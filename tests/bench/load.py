"""The load, a process of its own: posts over kept-alive connections, and prints what came of it as JSON.

Plain sockets and ready-made requests, so that it takes little of the cores it shares with the server. Without a rate
each connection posts again as soon as it is answered. With one, posts are sent by the clock whatever the server does,
and their latency counts from the moment they were to be sent: a server that stalls is not spared the posts it delayed.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice

from messages import cut_message
from posts import Post, endless_posts

PATIENCE = 10.0
"""Seconds without any answer after which the server counts as gone."""
MOST_RATE = 6000
"""Posts a second no server under measurement reaches: so many are made beforehand."""


@dataclass(frozen=True)
class Order:
    """What to do: `rate` is in posts a second, None for as many as are answered."""

    port: int
    path: str
    connections: int
    seconds: float
    rate: float | None = None


@dataclass
class Report:
    """What came of it. Times are in seconds, `began`, `sent` and `late` (behind the clock) by the monotonic clock.

    `cpu` is this process's own time from the first post to the last answer.
    """

    began: float = 0.0
    seconds: float = 0.0
    cpu: float = 0.0
    refused: int = 0
    latencies: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    sent: dict[str, float] = field(default_factory=dict)


class Connection:
    """A kept-alive connection with at most one post under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.since = 0.0
        self._expected = b""
        self._received = b""

    def post(self, post: Post, since: float) -> None:
        self.since = since
        self._expected = b"\r\n\r\n" + post.call_id
        self._received = b""
        self.socket.sendall(post.request)

    def answer(self) -> bool | None:
        """True when the post has been acknowledged, False when it has been refused, None while more is to come."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed a kept-alive connection")
        self._received += data
        if self._received.endswith(self._expected):
            return self._received.startswith(b"HTTP/1.1 200 ")
        return None if cut_message(self._received) is None else False


class Load:
    """One order under way."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._report = Report()
        # select() waits to the microsecond where epoll rounds to milliseconds; 64 connections are few enough for it.
        self._selector = selectors.SelectSelector()
        self._connections = [Connection(order.port) for _ in range(order.connections)]
        for connection in self._connections:
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def run(self) -> Report:
        posts = self._make_posts()
        self._report.began, cpu = time.monotonic(), time.process_time()
        if self._order.rate is None:
            self._saturate(iter(posts))
        else:
            self._keep_pace(posts, self._order.rate)
        self._report.seconds = time.monotonic() - self._report.began
        self._report.cpu = time.process_time() - cpu
        return self._report

    def _make_posts(self) -> list[Post]:
        return list(islice(endless_posts(self._order.path), int((self._order.rate or MOST_RATE) * self._order.seconds)))

    def _saturate(self, posts: Iterator[Post]) -> None:
        end = time.monotonic() + self._order.seconds
        for connection in self._connections:
            connection.post(next(posts), time.monotonic())
        under_way = len(self._connections)
        while under_way:
            for connection in self._answered(PATIENCE):
                now = time.monotonic()
                post = next(posts, None) if now < end else None
                if post is None:
                    under_way -= 1
                else:
                    connection.post(post, now)

    def _keep_pace(self, posts: list[Post], rate: float) -> None:
        start = time.monotonic() + 0.05
        idle = deque(self._connections)
        waiting = deque((start + number / rate, post) for number, post in enumerate(posts))
        while waiting or len(idle) < len(self._connections):
            pause = PATIENCE
            if waiting and idle:
                due, post = waiting[0]
                pause = due - time.monotonic()
                if pause <= 0:
                    waiting.popleft()
                    self._report.late.append(-pause)
                    self._report.sent[post.key] = due
                    idle.popleft().post(post, due)
                    continue
            idle.extend(self._answered(pause))

    def _answered(self, pause: float) -> list[Connection]:
        """The connections that were answered within `pause` seconds; their latencies are noted."""
        ready = self._selector.select(pause)
        if not ready and pause >= PATIENCE:
            raise TimeoutError(f"no answer within {PATIENCE:g} s")
        answered = []
        for key, _ in ready:
            connection: Connection = key.data
            taken = connection.answer()
            if taken is not None:
                self._report.latencies.append(time.monotonic() - connection.since)
                self._report.refused += not taken
                answered.append(connection)
        return answered


if __name__ == "__main__":
    json.dump(asdict(Load(Order(**json.loads(sys.argv[1]))).run()), sys.stdout)
