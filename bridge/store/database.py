"""Opening the database: engines, what SQLite must be told, and bringing the schema up to date."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from bridge.errors import StoreError
from bridge.store import migrations
from bridge.store.occupancy import Occupancy

BUSY_SECONDS = 5
"""How long a transaction waits for another process that writes, before it fails."""
LARGEST_CHECKED = 1024**3
"""Bytes of the largest file that is looked through for damage at the start: a second or a few."""
DAMAGED = "it is damaged: bring back a backup (`callbridge restore FILE`), or move it away to begin with an empty store"


class Database:
    """The database of one process: `writer` begins transactions that may write, `reader` ones that only read.

    On SQLite a transaction that reads first and writes later can fail halfway ("database is locked") when another
    process wrote in between; `writer` therefore takes the write lock when it begins (BEGIN IMMEDIATE).
    """

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        _make_folder(self.url)
        self._file = sqlite_file(self.url)
        self._occupancy = Occupancy(self._file) if self._file is not None else None
        self.writer = _sqlite_engine(self.url, "BEGIN IMMEDIATE")
        self.reader = _sqlite_engine(self.url, "BEGIN")

    def refuse_damaged(self) -> None:
        """Raises StoreError where the file is damaged: what a bridge would do with it could damage it more."""
        if self._file is None or not self._file.exists() or self._file.stat().st_size > LARGEST_CHECKED:
            return
        try:
            with self.reader.begin() as connection:
                found = execute(connection, "PRAGMA quick_check(1)")[0][0]
        except SQLAlchemyError as error:
            raise store_error(error, self.url) from error
        if found != "ok":
            raise StoreError(f"the store cannot be used ({self.url.database}): {' '.join(found.split())}; {DAMAGED}")

    def empty_log(self) -> bool:
        """Move what stands in SQLite's log into the file and cut the log off; False where others read from it."""
        with self.writer.connect() as connection:
            driver = connection.connection.driver_connection
            return driver is None or driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0

    def migrate(self) -> None:
        """Bring the schema to the newest revision; several processes may try at once. Raises StoreError."""
        try:
            with self.writer.begin() as connection:
                migrations.upgrade(connection)
        except SQLAlchemyError as error:
            raise store_error(error, self.url) from error

    def migrate_apart(self) -> None:
        """The same, in a process of its own, so that this one need not carry alembic's 9 MB as long as it serves.

        To be called while this process has only one thread.
        """
        try:
            with self.reader.begin() as connection:
                is_current = migrations.is_current(connection)
        except SQLAlchemyError as error:
            raise store_error(error, self.url) from error
        if not is_current:
            self._disconnect()  # what is open must not be used on both sides of a fork
            child = multiprocessing.get_context("fork").Process(target=self._migrate_and_close)
            child.start()
            child.join()
            self.migrate()  # nothing is left to do; or it fails as it did there, and says why

    def _migrate_and_close(self) -> None:
        with contextlib.suppress(StoreError):
            self.migrate()
        self.close()

    def close(self) -> None:
        """Close every connection; from now on the store may be restored."""
        self._disconnect()
        if self._occupancy is not None:
            self._occupancy.end()

    def _disconnect(self) -> None:
        self.writer.dispose()
        self.reader.dispose()


def execute(connection: Connection, statement: str, parameters: Sequence[object] = ()) -> list[Any]:
    """Run a statement by the driver itself; returns the rows as tuples.

    For the statements of every post and delivery: SQLAlchemy's own way costs several times what SQLite needs for them.
    Raises SQLAlchemy's errors, as its own way does.
    """
    driver = connection.dialect.loaded_dbapi
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement, tuple(parameters))
        return list(cursor.fetchall()) if cursor.description else []
    except driver.Error as error:
        raise DBAPIError.instance(statement, None, error, driver.Error, dialect=connection.dialect) from error
    finally:
        cursor.close()


def store_error(error: SQLAlchemyError, url: URL | None = None) -> StoreError:
    """What went wrong with the store, in one line for people (no statement, no values)."""
    cause = str(error.orig) if isinstance(error, DatabaseError) and error.orig is not None else str(error)
    first_line = cause.splitlines()[0] if cause else type(error).__name__
    place = f" ({url.database})" if url is not None and url.database else ""
    remedy = f"; {DAMAGED}" if _tells_damage(error) else ""
    return StoreError(f"the store cannot be used{place}: {first_line}{remedy}")


def _tells_damage(error: SQLAlchemyError) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", 0) if isinstance(error, DBAPIError) else 0
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


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


def _sqlite_engine(url: URL, begin: str) -> Engine:
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=4,
        max_overflow=8,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
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

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        execute(connection, begin)

    return engine
