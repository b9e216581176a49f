"""One thread that commits together what many threads ask for at the same time (group commit).

A commit costs a wait for the disk, whatever it holds. While one is on its way, the work that comes in gathers, and the
next commit takes all of it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from bridge.errors import StoreError
from bridge.store.database import Database, store_error

LARGEST_BATCH = 128
FOREIGN_POLL = 0.2
"""Seconds between two looks whether another process has written: nothing else tells us on SQLite."""

_log = logging.getLogger("callbridge.store")

Work = Callable[[Connection, Sequence[Any]], Sequence[Any]]
"""Work for the writer: does something for each item within one transaction and answers for each, in order."""


class Writer:
    """Runs work in transactions, one after the other, on one thread and one connection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._on_foreign_write: Callable[[], None] = lambda: None
        self._jobs: deque[tuple[Work, Any, Future[Any]]] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._data_version: int | None = None
        self._next_look = 0.0
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)

    def start(self, on_foreign_write: Callable[[], None]) -> None:
        """Start the thread (in the process that will use it: threads do not survive a fork).

        `on_foreign_write` is called, on that thread, after another process has written to the store.
        """
        self._on_foreign_write = on_foreign_write
        self._thread.start()

    def stop(self) -> None:
        """Commit what has been submitted and end the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def submit(self, work: Work, item: Any) -> Future[Any]:
        """Have `work` done for `item` in the next transaction; the future is done when it is committed and synced.

        The future raises StoreError where the store cannot take it now, and what `work` raised for this very item.
        """
        future: Future[Any] = Future()
        with self._wake:
            if self._stopping:
                raise StoreError("the bridge is stopping")
            self._jobs.append((work, item, future))
            self._wake.notify()
        return future

    def call(self, work: Work, item: Any, timeout: float = 30.0) -> Any:
        """Submit and wait, at most `timeout` seconds. Raises StoreError."""
        future = self.submit(work, item)
        try:
            return future.result(timeout)
        except TimeoutError as error:
            future.cancel()
            raise StoreError("the store does not answer in time") from error

    def _run(self) -> None:
        connection: Connection | None = None
        while True:
            jobs = self._take()
            if jobs is None:
                break
            try:
                # Failure policy: a connection that cannot be opened fails the jobs at hand and is tried anew with the
                # next ones, so the bridge recovers without a restart.
                if connection is None:
                    connection = self._database.writer.connect()
                self._commit(connection, jobs)
                self._look_for_foreign_writes(connection)
            except Exception as error:  # noqa: BLE001  # the one writer must outlive whatever goes wrong
                failure = store_error(error, self._database.url) if isinstance(error, SQLAlchemyError) else error
                _fail(jobs, failure)
                if connection is not None:
                    connection.invalidate()
                    connection.close()
                    connection = None
        if connection is not None:
            connection.close()

    def _take(self) -> list[tuple[Work, Any, Future[Any]]] | None:
        """The jobs that wait, none after a quiet moment, None when it is time to end."""
        with self._wake:
            if not self._jobs and not self._stopping:
                self._wake.wait(FOREIGN_POLL)
            if not self._jobs and self._stopping:
                return None
            jobs = [self._jobs.popleft() for _ in range(min(len(self._jobs), LARGEST_BATCH))]
        return [job for job in jobs if job[2].set_running_or_notify_cancel()]

    def _commit(self, connection: Connection, jobs: list[tuple[Work, Any, Future[Any]]]) -> None:
        if not jobs:
            return
        try:
            done = _transact(connection, jobs)
        except OperationalError:
            raise  # the store itself (locked, full, gone): trying the jobs singly would fail the same way, but slower
        except Exception as error:  # noqa: BLE001  # whatever one job raises must not fail the others
            if len(jobs) == 1:
                failure = store_error(error) if isinstance(error, SQLAlchemyError) else error
                jobs[0][2].set_exception(failure)
                return
            _log.warning("one of %d jobs failed (%s): they are committed one by one", len(jobs), type(error).__name__)
            for job in jobs:
                self._commit(connection, [job])
            return
        for future, result in done:
            future.set_result(result)

    def _look_for_foreign_writes(self, connection: Connection) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + FOREIGN_POLL
        # On this connection the number changes only when another one has written.
        driver = connection.connection.driver_connection
        if driver is None:
            return
        version = driver.execute("PRAGMA data_version").fetchone()[0]
        if self._data_version is not None and version != self._data_version:
            self._on_foreign_write()
        self._data_version = version


def _transact(connection: Connection, jobs: list[tuple[Work, Any, Future[Any]]]) -> list[tuple[Future[Any], Any]]:
    """One transaction for all jobs, those of the same work together."""
    together: dict[Work, list[tuple[Any, Future[Any]]]] = {}
    for work, item, future in jobs:
        together.setdefault(work, []).append((item, future))
    done: list[tuple[Future[Any], Any]] = []
    with connection.begin():
        for work, members in together.items():
            results = work(connection, [item for item, _ in members])
            done.extend(zip((future for _, future in members), results, strict=True))
    return done


def _fail(jobs: list[tuple[Work, Any, Future[Any]]], error: Exception) -> None:
    for _, _, future in jobs:
        if not future.done():
            future.set_exception(error)
