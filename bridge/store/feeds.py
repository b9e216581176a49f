"""The history and the feeds that connectors get, over the store of a serving process or of a command beside it."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from bridge.errors import StoreError
from bridge.health import Place
from bridge.model import Call, Number
from bridge.services import FeedItem, as_json
from bridge.store import channels, queries
from bridge.store.database import Database, store_error
from bridge.store.writer import Work

LOOK_SECONDS = 0.1
"""Seconds between two looks for what others have published, in a process that nobody tells."""
SWEEP_SECONDS = 10.0
"""Seconds between two looks for what is too old."""


class Access(Protocol):
    """How a process gets at its store. Both raise StoreError where it cannot be used now."""

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection to read with, in a transaction that sees one moment of the store."""

    def run(self, work: Work, item: Any) -> Any:
        """What `work` answers for the item, after it is committed and synced."""


class Beside:
    """The store of a command beside a running bridge. Nothing is opened before it is used."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opened: Database | None = None
        self._lock = threading.Lock()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """See `Access`."""
        with self._errors() as database, database.reader.begin() as connection:
            yield connection

    def run(self, work: Work, item: Any) -> Any:
        """See `Access`."""
        with self._errors() as database, database.writer.begin() as connection:
            return work(connection, [item])[0]

    def close(self) -> None:
        """Close what was opened."""
        if self._opened is not None:
            self._opened.close()

    @contextmanager
    def _errors(self) -> Iterator[Database]:
        with self._lock:
            if self._opened is None:
                database = Database(self._url)
                database.migrate()
                self._opened = database
        try:
            yield self._opened
        except SQLAlchemyError as error:
            raise store_error(error, self._opened.url) from error


class StoreHistory:
    """The `History` in a store."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def calls(self, number: Number | str, *, limit: int = 10) -> Sequence[Call]:
        """See `History`."""
        e164 = number if isinstance(number, str) else number.e164
        if e164 is None:
            return ()
        with self._access.reading() as connection:
            return [Call.model_validate_json(call) for call in queries.calls_with(connection, e164, limit)]


class Feeds:
    """The feeds of all connectors of one process, and whoever waits for something in them.

    Who waits, looks into the store once and sleeps then, until this process publishes to one of his channels or `look`
    finds that another one has. `is_told` says that somebody calls `look` after another process has written; otherwise
    whoever waits looks himself.
    """

    def __init__(self, access: Access, clock: Callable[[], float] = time.time, *, is_told: bool = False) -> None:
        self._access = access
        self._clock = clock
        self._is_told = is_told
        self._lock = threading.Lock()
        self._waiting: defaultdict[tuple[str, str], set[threading.Event]] = defaultdict(set)
        self._looked_up_to = 0
        self._swept_at = 0.0
        self._closed = False

    def of(self, connector: str) -> StoreFeed:
        """The feed of a connector."""
        return StoreFeed(self, connector)

    def look(self) -> None:
        """Another process has written: wake up whoever waits for what it has published, if it has."""
        if not self._waiting:
            return
        # Failure policy: what cannot be read now is found by the next look, or when whoever waits looks himself.
        try:
            with self._access.reading() as connection:
                found = channels.newest_since(connection, self._looked_up_to)
        except StoreError:
            return
        for connector, channel, newest in found:
            self._looked_up_to = max(self._looked_up_to, newest)
            self._wake(connector, channel)

    def sweep(self) -> Iterable[Place]:
        """Forget what is too old. A task of the dispatcher: returns who is owed something: nobody.

        Raises StoreError.
        """
        now = self._clock()
        if abs(now - self._swept_at) > SWEEP_SECONDS:
            self._swept_at = now
            with self._access.reading() as connection:
                is_needed = channels.needs_sweeping(connection, now)
            if is_needed and self._access.run(channels.sweep, now) == channels.CHUNK:
                self._swept_at = 0.0  # there is more: go on with the next tick
        return ()

    def close(self) -> None:
        """Have nobody wait any more."""
        self._closed = True
        with self._lock:
            for waiting in self._waiting.values():
                for one in waiting:
                    one.set()

    def publish(self, connector: str, channel: str, data: Mapping[str, Any], keep: float | None) -> int:
        now = self._clock()
        item = (connector, channel, now, None if keep is None else now + keep, as_json(data))
        number = int(self._access.run(channels.publish, item))
        self._wake(connector, channel)
        return number

    def read(self, connector: str, of: Collection[str], after: int, limit: int) -> Sequence[FeedItem]:
        with self._access.reading() as connection:
            return channels.read(connection, connector, of, after, self._clock(), limit)

    def wait(self, connector: str, of: Collection[str], after: int, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while True:
            with self._called(connector, of) as call:  # first, so that nothing is missed in between
                if self._has_newer(connector, of, after):
                    return True
                left = deadline - time.monotonic()
                if left <= 0 or self._closed:
                    return False
                call.wait(left if self._is_told else min(left, LOOK_SECONDS))

    def last_id(self) -> int:
        with self._access.reading() as connection:
            return channels.newest(connection)

    def remove(self, connector: str, channel: str) -> None:
        self._access.run(channels.remove, (connector, channel, self._clock()))

    def _has_newer(self, connector: str, of: Collection[str], after: int) -> bool:
        with self._access.reading() as connection:
            return channels.has_newer(connection, connector, of, after, self._clock())

    @contextmanager
    def _called(self, connector: str, of: Collection[str]) -> Iterator[threading.Event]:
        """An event that is set when something is published to one of these channels."""
        call = threading.Event()
        keys = [(connector, channel) for channel in of]
        with self._lock:
            for key in keys:
                self._waiting[key].add(call)
        try:
            yield call
        finally:
            with self._lock:
                for key in keys:
                    self._waiting[key].discard(call)
                    if not self._waiting[key]:
                        del self._waiting[key]

    def _wake(self, connector: str, channel: str) -> None:
        with self._lock:
            for call in self._waiting.get((connector, channel), ()):
                call.set()


class StoreFeed:
    """The `Feed` of one connector in a store."""

    def __init__(self, feeds: Feeds, connector: str) -> None:
        self._feeds = feeds
        self._connector = connector

    def publish(self, channel: str, data: Mapping[str, Any], *, keep: float | None) -> int:
        """See `Feed`."""
        return self._feeds.publish(self._connector, channel, data, keep)

    def read(self, channels: Collection[str], after: int = 0, *, limit: int = 1000) -> Sequence[FeedItem]:
        """See `Feed`."""
        return self._feeds.read(self._connector, channels, after, limit)

    def last_id(self) -> int:
        """See `Feed`."""
        return self._feeds.last_id()

    def wait(self, channels: Collection[str], after: int, seconds: float) -> bool:
        """See `Feed`."""
        return self._feeds.wait(self._connector, channels, after, seconds)

    def remove(self, channel: str) -> None:
        """See `Feed`."""
        self._feeds.remove(self._connector, channel)
