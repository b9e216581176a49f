"""The services of a connector that runs without a store, in memory: in a test, or while only its config is checked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bridge.model import Call, Contact, Number
from bridge.services import FeedItem, as_json


class MemoryHistory:
    """A history of the given calls (the newest first)."""

    def __init__(self, calls: Iterable[Call] = ()) -> None:
        self._calls = tuple(calls)

    def calls(self, number: Number | str, *, limit: int = 10) -> Sequence[Call]:
        """See `History`."""
        e164 = number if isinstance(number, str) else number.e164
        outside = [(call, call.outside_party) for call in self._calls]
        return [call for call, party in outside if party is not None and party.e164 == e164 is not None][:limit]


class MemoryFeed:
    """A feed as long as the process lives."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._items: list[tuple[FeedItem, float | None]] = []
        self._changed = threading.Condition()
        self._last_id = 0

    def publish(self, channel: str, data: Mapping[str, Any], *, keep: float | None) -> int:
        """See `Feed`."""
        text = as_json(data)
        now = self._clock()
        with self._changed:
            self._last_id += 1
            item = FeedItem(self._last_id, channel, datetime.fromtimestamp(now, UTC), json.loads(text))
            self._items.append((item, None if keep is None else now + keep))
            self._changed.notify_all()
            return item.id

    def read(self, channels: Collection[str], after: int = 0, *, limit: int = 1000) -> Sequence[FeedItem]:
        """See `Feed`."""
        now = self._clock()
        return [
            item
            for item, expires_at in list(self._items)
            if item.channel in channels and item.id > after and (expires_at is None or expires_at > now)
        ][:limit]

    def last_id(self) -> int:
        """See `Feed`."""
        return self._last_id

    def wait(self, channels: Collection[str], after: int, seconds: float) -> bool:
        """See `Feed`."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self.read(channels, after, limit=1)), seconds)

    def remove(self, channel: str) -> None:
        """See `Feed`."""
        with self._changed:
            self._items = [(item, until) for item, until in self._items if item.channel != channel]


class NobodyKnows:
    """No directory at all."""

    def find(self, number: Number, seconds: float | None = None) -> Sequence[Contact]:  # noqa: ARG002  # the protocol's
        """See `Directories`."""
        return ()
