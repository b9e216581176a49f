"""A stream of Server-Sent Events to one browser or program."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

HEARTBEAT = 15.0
"""Seconds without a card after which a comment is sent: it keeps proxies from cutting the stream, tells the client that
it is alive, and finds out that the client is not."""
LIFETIME = 3600.0
"""Seconds after which a stream ends, for the client to open it anew: no connection that is dead holds its place for
longer."""
RETRY = 2000
"""Milliseconds a client is asked to wait before it opens a stream again."""


class Stream:
    """What waits to be sent to one client: of each card only what is newest, so that a slow client costs no memory.

    `holders` are the grant and the session it was opened with: it ends with the first of them. `left` is called once,
    when the stream is over.
    """

    def __init__(
        self,
        holders: Collection[str],
        extensions: Collection[str],
        left: Callable[[Stream], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.holders = frozenset(holders)
        self.extensions = frozenset(extensions)
        self._left = left
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: dict[str, bytes] = {}
        self._is_over = False
        self._is_to_speak = False
        self._ends_at = clock() + LIFETIME * random.uniform(0.9, 1.1)  # noqa: S311  # not all at the same time

    def put(self, card: str, message: bytes) -> None:
        """Send a message about a card, in the place of an older one that still waits."""
        with self._changed:
            self._waiting.pop(card, None)
            self._waiting[card] = message
            self._changed.notify()

    def speak(self) -> None:
        """Say something now: it finds out whether the client is still there."""
        with self._changed:
            self._is_to_speak = True
            self._changed.notify()

    def end(self) -> None:
        """End it as soon as what waits has been sent."""
        with self._changed:
            self._is_over = True
            self._changed.notify()

    def leave(self) -> None:
        """The client is gone, or everything has been sent. May be called several times."""
        with self._changed:
            left, self._left = self._left, _nothing
        left(self)

    def messages(self, beginning: bytes) -> Iterator[bytes]:
        """What to send, from the beginning to the end."""
        try:
            yield beginning
            while (message := self._next()) is not None:
                yield message
        finally:
            self.leave()

    def _next(self) -> bytes | None:
        with self._changed:
            if not (self._waiting or self._is_over or self._is_to_speak):
                self._changed.wait(HEARTBEAT)
            self._is_to_speak = False
            messages = b"".join(self._waiting.values())
            self._waiting.clear()
            if not messages and (self._is_over or self._clock() > self._ends_at):
                return None
        return messages or b": still here\n\n"


def _nothing(_stream: Stream) -> None:
    """It has been left already."""


def message(event: str, data: Any, item_id: int | None = None) -> bytes:
    """One Server-Sent Event. JSON has no line breaks, so the data is one line."""
    head = f"id: {item_id}\n" if item_id is not None else ""
    return f"{head}event: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode("utf-8", "replace")
