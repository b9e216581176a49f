"""What differs between the databases that a store can be kept in. Nothing else in the store asks which one it is.

SQLite has one writer at a time: whoever writes has the store to himself, and the others look what he has written.
PostgreSQL has many: rows and calls are locked one by one, and whoever writes tells the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Engine, FromClause, Select, Table
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from bridge.store.dialects.news import ANYTHING, DUE, PUBLISHED, Hear
from bridge.store.dialects.postgresql import Postgresql
from bridge.store.dialects.sqlite import Sqlite
from bridge.store.occupancy import Occupancy
from bridge.store.presence import Presence
from bridge.store.serverclock import ServerClock


class Watch(Protocol):
    """What a serving process keeps up beside its transactions: an ear for the others, and a claim to lead them."""

    def start(self) -> None:
        """Begin, in the process that will use it."""

    def stop(self) -> None:
        """End, and lead no more."""

    def leads(self) -> bool:
        """Whether this process is the one of all on this store that does what only one need do."""


class Dialect(Protocol):
    """One kind of database."""

    def __hash__(self) -> int: ...

    is_polled: bool
    """Whether the writer has to look for what others have written (`version`)."""
    has_one_writer: bool
    """Whether a transaction that writes has the whole database to itself."""
    reads_at_once: bool
    """Whether who reads waits for nobody, whatever the writers do."""
    waiting: str
    """That a delivery waits, in the words of the index by calls (`deliveries_order`): no other one is chosen then."""

    def engines(self, url: URL) -> tuple[Engine, Engine]:
        """How to connect: to write, and to read what one moment of the store was. Nothing is opened yet.

        Raises StoreError where that cannot even be prepared.
        """

    def occupy(self, url: URL) -> Occupancy | None:
        """That this process uses the store, where others could put another one in its place.

        Raises StoreError while somebody does that.
        """

    def presence(self, url: URL) -> Presence | None:
        """What tells whether the store is still the one that was opened, where another could take its place."""

    def find_damage(self, url: URL, reader: Engine) -> str | None:
        """What is damaged or cannot be used, and what helps, for people; None where nothing is."""

    def remedy(self, error: SQLAlchemyError) -> str:
        """What helps against an error, for people; empty where that is not known."""

    def scrub(self, writer: Engine) -> str | None:
        """Overwrite what was erased; returns where some of it may still stand, for people."""

    def place(self, url: URL) -> str:
        """Where the store is, for people; without secrets."""

    def is_passing(self, error: SQLAlchemyError) -> bool:
        """Whether the same transaction may well succeed on a new connection: this one was lost, or lost a conflict."""

    def version(self, connection: Connection) -> int:
        """A number that changes, on this connection, only when another one has written. Where `is_polled`."""

    def clock(self) -> ServerClock | None:
        """The clock of the server, which its watch keeps right; None where all processes are on one machine."""

    def now(self, connection: Connection) -> float:
        """The time all processes go by, in seconds since the epoch, for who asks once."""

    def watch(self, url: URL, hear: Hear, clock: ServerClock | None) -> Watch:
        """The watch of a process; `hear` is called on a thread of its own, `clock` is what `clock` has made."""

    def announce(self, connection: Connection, kind: str, names: Iterable[str]) -> None:
        """Tell the other processes, as soon as the transaction is committed; one piece of news for each name."""

    def lock_migrations(self, connection: Connection) -> None:
        """Until the end of the transaction nobody else migrates."""

    def lock_calls(self, connection: Connection, keys: Iterable[str]) -> None:
        """Until the end of the transaction nobody else writes these calls, be they there already or not."""

    def lock_feeds(self, connection: Connection) -> None:
        """Until the end of the transaction nobody else publishes."""

    def lock_waiting(self, connection: Connection) -> None:
        """Until the end of the transaction nobody else changes what waits, nor the healths, nor reads a beat."""

    def one_of(self, column: str, values: Sequence[object]) -> tuple[str, Sequence[object]]:
        """The condition that a column has one of the values, and its parameters."""

    def waits(self, deliveries: FromClause) -> ColumnElement[bool]:
        """The same as `waiting`."""

    def finds_none(self, query: Select[Any]) -> ColumnElement[bool]:
        """That a query within another one finds nothing, looked up by an index for each row it is asked for."""

    def aside(self, column: ColumnElement[str]) -> ColumnElement[str]:
        """A column as no index is chosen by, where the planner would choose a wrong one."""

    def lock_rows(self, table: Table) -> str:
        """The end of a SELECT that locks its rows, in the order of the primary key."""

    def row(self, table: Table, columns: Collection[str]) -> str:
        """The first row of a VALUES list: placeholders, whose types are those of the columns."""

    def parameters(self, rows: Sequence[Mapping[str, object]]) -> list[object]:
        """The values of rows, one after the other, such as the database can keep."""

    def continue_ids(self, connection: Connection, table: str) -> None:
        """After rows were copied in with their ids: let numbers that the database gives go on after them."""


_SQLITE, _POSTGRESQL = Sqlite(), Postgresql()


def dialect_of(where: Connection | URL) -> Dialect:
    """The dialect of a connection or a URL."""
    name = where.get_backend_name() if isinstance(where, URL) else where.dialect.name
    return _SQLITE if name == "sqlite" else _POSTGRESQL


__all__ = ["ANYTHING", "DUE", "PUBLISHED", "Dialect", "Hear", "Watch", "dialect_of"]
