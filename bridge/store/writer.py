"""One thread that commits together what many threads ask for at the same time (group commit).

A commit costs a wait for the disk, whatever it holds. While one is on its way, the work that comes in gathers, and the
next commit takes all of it.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from bridge.errors import StoreError
from bridge.store.database import Database, store_error

LARGEST_BATCH = 128
CONFLICT_PAUSES = (0.0, 0.05, 0.2)
"""Seconds, at most, after each try of a transaction that another one might not lose."""
WATCH_SECONDS = 0.5
"""Seconds between two looks for jobs that nobody waits for and that the store does not answer."""
FOREIGN_POLL = 0.1
"""Seconds between two looks whether another process has written, where nothing tells us (SQLite)."""
NEIGHBOUR_POLL = 0.025
"""The same while there is one that writes."""
NEIGHBOUR_SECONDS = 60.0
"""Seconds for which one that has written counts as one that writes."""

_log = logging.getLogger("callbridge.store")

STOPPING = "the bridge is stopping"
LATE = "the store does not answer in time"

Work = Callable[[Connection, Sequence[Any]], Sequence[Any]]
"""Work for the writer: does something for each item within one transaction and answers for each, in order."""


class Job:
    """Work for one item, on its way through the writer. `then` is told once how it ended: what `work` answered for the
    item, after it is committed and synced, or the exception."""

    __slots__ = ("_told", "item", "then", "work")

    def __init__(self, work: Work, item: Any, then: Callable[[Any], None]) -> None:
        self.work = work
        self.item = item
        self.then = then
        self._told = threading.Lock()

    @property
    def is_over(self) -> bool:
        """Whether somebody has been told; what has not been begun by then is not done."""
        return self._told.locked()

    def end(self, answer: Any) -> None:
        """Tell the result or the exception. Whoever comes second, from whatever thread, tells nothing."""
        if not self._told.acquire(blocking=False):
            return
        try:
            self.then(answer)
        except Exception:  # noqa: BLE001  # whatever it is
            # Failure policy: it is committed or refused already, and the other jobs must hear of theirs.
            _log.exception("what follows a commit failed")
        self.item = self.then = None  # type: ignore[assignment]  # a job that is over keeps nothing alive


class Awaited(Job):
    """A job that somebody waits for.

    A queue of one carries the answer: to wait for it takes one lock where a `Future` takes three, and every lock that
    is waited for is a turn of the interpreter lost.
    """

    __slots__ = ("_answer",)

    def __init__(self, work: Work, item: Any) -> None:
        self._answer: SimpleQueue[Any] = SimpleQueue()
        super().__init__(work, item, self._answer.put)

    def result(self, timeout: float | None = None) -> Any:
        """What `work` answered. To be asked once.

        Raises what `work` raised for this very item, and StoreError where the store cannot take it now or does not
        answer within `timeout` seconds.
        """
        with contextlib.suppress(Empty):
            return _raised(self._answer.get(timeout=timeout))
        self.end(StoreError(LATE))
        return _raised(self._answer.get())


class Writer:
    """Runs work in transactions, one after the other, on one thread and connection; each begins with `keep_time`."""

    def __init__(self, database: Database, keep_time: Callable[[Connection], None] = lambda _connection: None) -> None:
        self._database = database
        self._keep_time = keep_time
        self._dialect = database.dialect
        self._on_foreign_write: Callable[[], None] = lambda: None
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._promised: deque[tuple[float, Job]] = deque()
        self.trouble: str | None = None
        """Why the last transaction failed; None where it did not. That of a damaged store stays."""
        self._is_damaged = False
        self._stopping = False
        self._stopped = threading.Event()
        self._connection: Connection | None = None
        self._data_version: int | None = None
        self._next_look = 0.0
        self._neighbour_until = 0.0
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._watch = threading.Thread(target=self._end_late_jobs, name="store-watch", daemon=True)

    def start(self, on_foreign_write: Callable[[], None]) -> None:
        """Start the thread (in the process that will use it: threads do not survive a fork).

        `on_foreign_write` is called, on that thread, after another process has written to the store.
        """
        self._on_foreign_write = on_foreign_write
        self._thread.start()
        self._watch.start()

    def stop(self) -> None:
        """Commit what has been submitted and end the thread."""
        self._stopping = True
        self._jobs.put(None)
        if self._thread.ident is not None:
            self._thread.join()
        self._stopped.set()

    def submit(self, work: Work, item: Any) -> Awaited:
        """Have `work` done for `item` in the next transaction. Raises StoreError once the writer stops."""
        if self._stopping:
            raise StoreError(STOPPING)
        job = Awaited(work, item)
        self._jobs.put(job)
        return job

    def promise(self, work: Work, item: Any, then: Callable[[Any], None], timeout: float) -> None:
        """The same, and nobody waits: `then` is told what `work` answered, or why it is not done, as an exception.

        It is called on the writer's thread, so it must be quick and must not wait for the store; after about `timeout`
        seconds, on another one, with StoreError.
        """
        job = Job(work, item, then)
        if self._stopping:
            job.end(StoreError(STOPPING))
            return
        self._promised.append((time.monotonic() + timeout, job))
        self._jobs.put(job)

    def call(self, work: Work, item: Any, timeout: float = 30.0) -> Any:
        """Submit, and wait for the result."""
        return self.submit(work, item).result(timeout)

    def _run(self) -> None:
        while (jobs := self._take()) is not None:
            try:
                # Failure policy: a connection that cannot be opened fails the jobs at hand and is tried anew with the
                # next ones, so the bridge recovers without a restart.
                if jobs:
                    self._database.check_presence()
                self._commit_at_last(jobs)
                if self._dialect.is_polled:
                    self._look_for_foreign_writes(self._connected())
            except Exception as error:  # noqa: BLE001  # the one writer must outlive whatever goes wrong
                failure = self._note(error)
                for job in jobs:
                    job.end(failure)
                self._data_version = -1  # the next connection counts anew: look once in any case
                self._disconnect()
        self._disconnect()
        self._refuse_the_rest()

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._database.writer.connect()
        return self._connection

    def _disconnect(self) -> None:
        """Close the connection, whatever state it is in."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _refuse_the_rest(self) -> None:
        with contextlib.suppress(Empty):
            while True:
                if job := self._jobs.get_nowait():
                    job.end(StoreError(STOPPING))

    def _end_late_jobs(self) -> None:
        while not self._stopped.wait(WATCH_SECONDS):
            while self._promised and (self._promised[0][0] <= time.monotonic() or self._promised[0][1].is_over):
                self._promised.popleft()[1].end(StoreError(LATE))

    def _take(self) -> list[Job] | None:
        """The jobs that wait, none after a quiet moment, None when it is time to end."""
        try:
            job = self._jobs.get(timeout=self._poll if self._dialect.is_polled else None)
        except Empty:
            return []
        if job is None:
            return None
        jobs = [job]
        self._gather(jobs)
        return jobs

    def _gather(self, jobs: list[Job]) -> None:
        """Add what waits by now."""
        with contextlib.suppress(Empty):
            while len(jobs) < LARGEST_BATCH:
                job = self._jobs.get_nowait()
                if job is None:
                    self._jobs.put(None)  # what came before it first
                    return
                jobs.append(job)

    def _commit_at_last(self, jobs: list[Job]) -> None:
        """Commit, on another connection where this one broke since it was last used (the server was started again) or
        lost a conflict.

        What has been committed though the answer was lost is done twice then, which every work bears: a post is a
        repeat, an ending is no longer ours, a claim ends by itself.
        """
        for pause in CONFLICT_PAUSES:
            connection = self._connected()
            try:
                return self._commit(connection, jobs, self._gather)
            except DBAPIError as error:
                if not self._dialect.is_passing(error):
                    raise
            self._disconnect()
            time.sleep(random.uniform(0, pause))  # noqa: S311  # so that two do not meet again
        return self._commit(self._connected(), jobs, self._gather)

    def _commit(self, connection: Connection, jobs: list[Job], gather: Callable[[list[Job]], None]) -> None:
        """Commit the jobs, and those that `gather` adds to them once the transaction has begun."""
        if all(job.is_over for job in jobs):
            return

        def begin(jobs: list[Job]) -> None:
            self._keep_time(connection)
            gather(jobs)

        try:
            done = _transact(connection, jobs, begin)
            if not self._is_damaged:
                self.trouble = None
        except Exception as error:  # whatever one job raises must not fail the others
            if isinstance(error, OperationalError) or (
                isinstance(error, DBAPIError) and self._dialect.is_passing(error)
            ):
                # The store itself (locked, full, gone): trying the jobs singly would fail the same way, but slower.
                raise
            if len(jobs) == 1:
                jobs[0].end(self._note(error))
                return
            _log.warning("one of %d jobs failed (%s): they are committed one by one", len(jobs), type(error).__name__)
            for job in jobs:
                self._commit(connection, [job], lambda _jobs: None)
            return
        for job, result in done:
            job.end(result)

    def _note(self, error: Exception) -> Exception:
        """What is told of an error; where it is the store's, it is remembered."""
        told: Exception = error
        if isinstance(error, SQLAlchemyError):
            told = store_error(error, self._database.url)
            self._is_damaged = self._is_damaged or bool(self._dialect.remedy(error))
        if isinstance(told, StoreError):
            self.trouble = str(told)
        return told

    def _look_for_foreign_writes(self, connection: Connection) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return
        # On this connection the number changes only when another one has written.
        version = self._dialect.version(connection)
        if self._data_version is not None and version != self._data_version:
            self._neighbour_until = now + NEIGHBOUR_SECONDS
            self._on_foreign_write()
        self._data_version = version
        self._next_look = now + self._poll

    @property
    def _poll(self) -> float:
        return NEIGHBOUR_POLL if time.monotonic() < self._neighbour_until else FOREIGN_POLL


def _transact(connection: Connection, jobs: list[Job], begin: Callable[[list[Job]], None]) -> list[tuple[Job, Any]]:
    """One transaction for all jobs that are not over, those of the same work together."""
    together: dict[Work, list[Job]] = {}
    done: list[tuple[Job, Any]] = []
    with connection.begin():
        begin(jobs)  # it adds what has come in while another process was writing
        for job in jobs:
            if not job.is_over:
                together.setdefault(job.work, []).append(job)
        # In every process in the same order, so that two which lock the same rows do not wait for each other.
        for work, members in sorted(together.items(), key=lambda one: one[0].__qualname__):
            results = work(connection, [job.item for job in members])
            done.extend(zip(members, results, strict=True))
    return done


def _raised(answer: Any) -> Any:
    if isinstance(answer, BaseException):
        raise answer
    return answer
