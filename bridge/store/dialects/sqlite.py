"""SQLite: one file, any number of processes of one machine, one that writes at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    FromClause,
    Select,
    Table,
    create_engine,
    event,
    literal_column,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from bridge.errors import StoreError
from bridge.store.dialects.news import Hear
from bridge.store.driver import execute
from bridge.store.occupancy import Occupancy
from bridge.store.presence import Presence
from bridge.store.serverclock import ServerClock

BUSY_SECONDS = 5
"""How long a transaction waits for another process that writes, before it fails."""
BUSY_POLL = 0.0005
"""Seconds between two looks whether it still writes. SQLite itself looks less and less often, up to ten times a second:
while one process writes without end, another one then finds the moments between its transactions by chance alone."""
SILENT_SECONDS = 10.0
"""Seconds after which one that leads and has not said so counts as stopped."""
LARGEST_CHECKED = 1024**3
"""Bytes of the largest file that is looked through for damage at the start: a second or a few."""
DAMAGED = "it is damaged: bring back a backup (`callbridge restore FILE`), or move it away to begin with an empty store"


class Sqlite:
    """See `Dialect`.

    A transaction that reads first and writes later can fail halfway ("database is locked") when another process wrote
    in between; the engine that writes therefore takes the write lock when it begins (BEGIN IMMEDIATE).
    """

    is_polled = True
    has_one_writer = True
    reads_at_once = True
    waiting = "state = 'pending'"

    def engines(self, url: URL) -> tuple[Engine, Engine]:
        _make_folder(url)
        return _engine(url, _begin_to_write, 0.0), _engine(url, _begin_to_read, BUSY_SECONDS)

    def occupy(self, url: URL) -> Occupancy | None:
        file = sqlite_file(url)
        return Occupancy(file) if file is not None else None

    def presence(self, url: URL) -> Presence | None:
        file = sqlite_file(url)
        return Presence(file) if file is not None else None

    def find_damage(self, url: URL, reader: Engine) -> str | None:
        file = sqlite_file(url)
        if file is None or not file.exists() or file.stat().st_size > LARGEST_CHECKED:
            return None
        with reader.begin() as connection:
            found: str = execute(connection, "PRAGMA quick_check(1)")[0][0]
        return None if found == "ok" else f"{' '.join(found.split())}; {DAMAGED}"

    def remedy(self, error: SQLAlchemyError) -> str:
        code = getattr(error.orig, "sqlite_errorcode", 0) if isinstance(error, DBAPIError) else 0
        return DAMAGED if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) else ""

    def scrub(self, writer: Engine) -> str | None:
        """The file is overwritten at once (`secure_delete`); its log is moved into it and cut off."""
        with writer.connect() as connection:
            driver = connection.connection.driver_connection
            if driver is not None:
                driver.execute(f"PRAGMA busy_timeout = {1000 * BUSY_SECONDS:.0f}")
            is_cut = driver is None or driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        return None if is_cut else "the log beside the store is in use: what was erased leaves it with the next writes"

    def place(self, url: URL) -> str:
        return url.database or ""

    def is_passing(self, _error: SQLAlchemyError) -> bool:
        return False

    def version(self, connection: Connection) -> int:
        number: int = execute(connection, "PRAGMA data_version")[0][0]
        return number

    def clock(self) -> None:
        """There is no server."""

    def now(self, _connection: Connection) -> float:
        return time.time()

    def watch(self, url: URL, _hear: Hear, _clock: ServerClock | None) -> SqliteWatch:
        return SqliteWatch(Path(f"{url.database}.leader"))

    def announce(self, _connection: Connection, _kind: str, _names: Iterable[str]) -> None:
        """Nobody can be told: the others look."""

    def lock_migrations(self, _connection: Connection) -> None:
        """Whoever writes has the file to himself."""

    def lock_calls(self, _connection: Connection, _keys: Iterable[str]) -> None:
        """Whoever writes has the file to himself."""

    def lock_feeds(self, _connection: Connection) -> None:
        """Whoever writes has the file to himself."""

    def lock_waiting(self, _connection: Connection) -> None:
        """Whoever writes has the whole database."""

    def one_of(self, column: str, values: Sequence[object]) -> tuple[str, Sequence[object]]:
        return f"{column} IN ({', '.join('?' * len(values))})", values

    def waits(self, deliveries: FromClause) -> ColumnElement[bool]:
        is_pending: ColumnElement[bool] = deliveries.c.state == literal_column("'pending'")
        return is_pending

    def finds_none(self, query: Select[Any]) -> ColumnElement[bool]:
        found = query.exists()
        return ~found

    def aside(self, column: ColumnElement[str]) -> ColumnElement[str]:
        return column

    def lock_rows(self, _table: Table) -> str:
        return ""

    def row(self, _table: Table, columns: Collection[str]) -> str:
        return f"({', '.join('?' * len(columns))})"

    def parameters(self, rows: Sequence[Mapping[str, object]]) -> list[object]:
        return [value for row in rows for value in row.values()]

    def continue_ids(self, _connection: Connection, _table: str) -> None:
        """It goes on after the largest one by itself."""


class SqliteWatch:
    """The leader holds a lock on a file beside the database: the kernel lets go of it however the process ends. And it
    touches the file: one that has been stopped for long leads no more.

    Failure policy: where no such file can be made, every process leads. What leaders do bears to be done twice.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor: int | None = None
        self._leads = False

    def start(self) -> None:
        """Nothing is to be begun: the lock is asked for when it is needed."""

    def stop(self) -> None:
        self._leads = False
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def leads(self) -> bool:
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
            if not self._leads:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._leads = True
            os.utime(self._descriptor)
        except BlockingIOError:
            silent_since = self._file.stat().st_mtime
            return abs(time.time() - silent_since) > SILENT_SECONDS
        except OSError:
            pass
        return True


def sqlite_file(url: URL) -> Path | None:
    """The file of SQLite's that a URL names; None where it names another kind of database, or none plainly."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database.startswith((":", "file:")):
        return None
    return Path(url.database)


def _make_folder(url: URL) -> None:
    if url.database and url.database != ":memory:":
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the folder of the store cannot be made: {error}") from error


def _make_file(url: URL) -> None:
    """Make the file for its owner's eyes only; SQLite gives the files beside it the same mode."""
    if (file := sqlite_file(url)) is not None:
        with contextlib.suppress(OSError):  # it is there already; or SQLite says what is wrong
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log: the first time nobody else may use the file, and SQLite itself does not wait."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_to_read(connection: Connection) -> None:
    execute(connection, "BEGIN")


def _begin_to_write(connection: Connection) -> None:
    """Take the write lock. Raises SQLAlchemy's OperationalError where another process has it for too long."""
    begin = "BEGIN IMMEDIATE"
    driver = connection.connection.cursor()
    deadline = time.monotonic() + BUSY_SECONDS
    while time.monotonic() < deadline:
        try:
            driver.execute(begin)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                break
            time.sleep(BUSY_POLL)
        else:
            return
    execute(connection, begin)


def _engine(url: URL, begin: Callable[[Connection], None], timeout: float) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=4,
        max_overflow=8,
        connect_args={"timeout": timeout, "check_same_thread": False},
    )

    @event.listens_for(engine, "do_connect")
    def _make(*_: Any) -> None:
        _make_file(url)

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
        # The driver's own transaction handling is off: it would begin too late, and SQLAlchemy emits no BEGIN by
        # itself.
        connection.isolation_level = None
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")  # a commit is on disk, not only on its way there
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute("PRAGMA secure_delete = ON")  # what is erased is overwritten, not only unlinked

    event.listen(engine, "begin", begin)
    return engine
