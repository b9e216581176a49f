"""Opening the database, and bringing the schema up to date."""

from __future__ import annotations

import contextlib
import multiprocessing

from sqlalchemy import Connection, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from bridge.errors import StoreError
from bridge.store import migrations
from bridge.store.dialects import Hear, Watch, dialect_of
from bridge.store.driver import execute


class Database:
    """The database of one process: `writer` begins transactions that may write, `reader` ones that only read."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.dialect = dialect_of(self.url)
        self.writer, self.reader = self.dialect.engines(self.url)
        self.clock = self.dialect.clock()
        """The clock of the server, by which all processes go; None where that is the machine's."""
        self._occupancy = self.dialect.occupy(self.url)
        self._presence = self.dialect.presence(self.url)

    def refuse_damaged(self) -> None:
        """Raises StoreError where it is damaged: what a bridge would do with it could damage it more."""
        try:
            found = self.dialect.find_damage(self.url, self.reader)
        except SQLAlchemyError as error:
            raise store_error(error, self.url) from error
        if found is not None:
            raise StoreError(f"the store cannot be used ({self.dialect.place(self.url)}): {found}")

    def check_presence(self) -> None:
        """Raises StoreError while the store is not the one that was used at first."""
        if self._presence is not None:
            self._presence.check()

    def scrub(self) -> str | None:
        """Overwrite what was erased, as far as the database lets itself be told; returns where some of it may still
        stand, for people. Raises SQLAlchemy's errors."""
        return self.dialect.scrub(self.writer)

    def migrate(self) -> None:
        """Bring the schema to the newest revision; several processes may try at once. Raises StoreError."""
        try:
            with self.writer.begin() as connection:
                self.dialect.lock_migrations(connection)
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

    def ask_time(self, connection: Connection) -> None:
        """Learn what time it is by the server's clock, where there is one. Raises SQLAlchemy's errors."""
        if self.clock is not None:
            self.clock.ask(lambda columns: execute(connection, f"SELECT {columns}")[0])

    def watch(self, hear: Hear) -> Watch:
        """What a serving process keeps up beside its transactions."""
        return self.dialect.watch(self.url, hear, self.clock)

    def close(self) -> None:
        """Close every connection; from now on the store may be restored."""
        self._disconnect()
        if self._presence is not None:
            self._presence.end()
        if self._occupancy is not None:
            self._occupancy.end()

    def _disconnect(self) -> None:
        self.writer.dispose()
        self.reader.dispose()


def store_error(error: SQLAlchemyError, url: URL | None = None) -> StoreError:
    """What went wrong with the store, in one line for people (no statement, no values)."""
    cause = str(error.orig) if isinstance(error, DBAPIError) and error.orig is not None else str(error)
    first_line = cause.splitlines()[0] if cause else type(error).__name__
    place, remedy = "", ""
    if url is not None:
        dialect = dialect_of(url)
        place, remedy = f" ({dialect.place(url)})", dialect.remedy(error)
    return StoreError(f"the store cannot be used{place}: {first_line}{remedy and '; '}{remedy}")
