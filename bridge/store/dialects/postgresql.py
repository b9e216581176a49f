"""PostgreSQL, by psycopg 3: any number of processes on any number of machines."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from types import MappingProxyType
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
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from bridge.errors import StoreError
from bridge.store.dialects.listener import CHANNEL, MIGRATING, PUBLISHING, Listener
from bridge.store.dialects.news import Hear
from bridge.store.driver import execute
from bridge.store.serverclock import ServerClock

CONNECTION = {
    "connect_timeout": "5",  # seconds
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",  # milliseconds after which a server that has fallen silent counts as gone
    "application_name": "callbridge",
    "client_encoding": "utf8",
}
"""What libpq is told, unless the URL says otherwise."""

SESSION = {
    "lock_timeout": "5s",
    # The server notices just as soon that a machine is gone, and lets another process lead.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
"""What the server is told for each connection."""

WRITING = {
    # A process that was stopped within a transaction must not hold back the calls it has locked.
    "idle_in_transaction_session_timeout": "10s",
    # Whoever writes needs a few rows by an index. The planner guesses how many from statistics that are old whenever a
    # backlog grows, and then a guess of none makes it go through all of it, for each row again.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",
    "enable_sort": "off",
}
"""What it is told besides for one that writes. Who reads may take his time: people read on pages."""


class Postgresql:
    """See `Dialect`."""

    is_polled = False
    has_one_writer = False
    reads_at_once = False
    waiting = "finished_at IS NULL"

    def engines(self, url: URL) -> tuple[Engine, Engine]:
        if find_spec("psycopg") is None:
            raise StoreError("PostgreSQL needs psycopg: pip install 'psycopg[binary]'")
        # Whoever writes sees in each statement what has been committed by then: after it has waited for a lock, that is
        # what the lock was for. A connection to read with may have been cut while it was idle, so it is tried first.
        writer = _engine(url, "READ COMMITTED", WRITING, pool_size=4, max_overflow=8)
        return writer, _engine(url, "REPEATABLE READ", pool_size=4, max_overflow=8, pool_pre_ping=True)

    def occupy(self, _url: URL) -> None:
        """Nobody puts a file in its place."""

    def presence(self, _url: URL) -> None:
        """Nobody puts another server in its place unnoticed."""

    def find_damage(self, _url: URL, reader: Engine) -> str | None:
        """The server sees to that; but not every database can keep every name."""
        with reader.begin() as connection:
            ((encoding,),) = execute(connection, "SHOW server_encoding")
        return None if encoding == "UTF8" else f"its encoding is {encoding}: make one with ENCODING 'UTF8'"

    def remedy(self, _error: SQLAlchemyError) -> str:
        return ""

    def scrub(self, writer: Engine) -> str | None:
        with writer.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            execute(connection, "VACUUM")
        return "the server's own log and backups: what was erased leaves them as they are replaced"

    def place(self, url: URL) -> str:
        hosts = url.host or url.query.get("host", "local")
        host = hosts if isinstance(hosts, str) else ",".join(hosts)
        return f"{host}{f':{url.port}' if url.port else ''}/{url.database or ''}"

    def is_passing(self, error: SQLAlchemyError) -> bool:
        if not isinstance(error, DBAPIError):
            return False
        state = getattr(error.orig, "sqlstate", None)
        if state is None:
            return isinstance(error, OperationalError | InterfaceError)  # the connection broke
        # 08: connection, 57: the server was stopped or cancelled it, 40: a deadlock; a server that only reads: another
        # one has taken over.
        return state[:2] in ("08", "57", "40") or state == "25006"

    def version(self, _connection: Connection) -> int:
        return 0

    def clock(self) -> ServerClock:
        return ServerClock()

    def now(self, connection: Connection) -> float:
        now: float = execute(connection, "SELECT extract(epoch FROM clock_timestamp())::float8")[0][0]
        return now

    def watch(self, url: URL, hear: Hear, clock: ServerClock | None) -> Listener:
        return Listener(partial(_connect, _engine(url, "AUTOCOMMIT", poolclass=NullPool)), hear, clock or self.clock())

    def announce(self, connection: Connection, kind: str, names: Iterable[str]) -> None:
        news = [f"{kind} {name}" for name in sorted(set(names))]
        if news:
            execute(connection, f"SELECT pg_notify('{CHANNEL}', one) FROM unnest(%s::text[]) AS one", [news])  # noqa: S608  # ours

    def lock_migrations(self, connection: Connection) -> None:
        # However long another process migrates. Then, for the tables, not longer than a post can wait.
        execute(connection, "SET LOCAL lock_timeout = 0")
        execute(connection, "SELECT pg_advisory_xact_lock(%s, 0)", [MIGRATING])
        execute(connection, f"SET LOCAL lock_timeout = '{SESSION['lock_timeout']}'")

    def lock_calls(self, connection: Connection, keys: Iterable[str]) -> None:
        # A call that is not there yet has no row to lock. In one order: two processes never wait for each other.
        numbers = sorted({_number(key) for key in keys})
        execute(connection, "SELECT pg_advisory_xact_lock(one) FROM unnest(%s::bigint[]) AS one", [numbers])

    def lock_feeds(self, connection: Connection) -> None:
        # Numbers are given before the commit: without this, a reader could be past one that is committed later.
        execute(connection, "SELECT pg_advisory_xact_lock(%s, 0)", [PUBLISHING])

    def lock_waiting(self, connection: Connection) -> None:
        # Whoever has begun to change something ends first, and who comes after waits before it locks a row. Who sees
        # that the clock has jumped waits before anything else: see serverclock.py.
        execute(connection, "LOCK TABLE heartbeat IN ACCESS EXCLUSIVE MODE")
        execute(connection, "LOCK TABLE connectors, deliveries IN EXCLUSIVE MODE")

    def one_of(self, column: str, values: Sequence[object]) -> tuple[str, Sequence[object]]:
        return f"{column} = ANY(%s)", [list(values)]

    def waits(self, deliveries: FromClause) -> ColumnElement[bool]:
        return deliveries.c.finished_at.is_(None)

    def finds_none(self, query: Select[Any]) -> ColumnElement[bool]:
        return query.limit(1).scalar_subquery().is_(None)  # EXISTS would be made a join

    def aside(self, column: ColumnElement[str]) -> ColumnElement[str]:
        return column.concat(literal_column("''"))

    def lock_rows(self, table: Table) -> str:
        return f" ORDER BY {', '.join(column.name for column in table.primary_key)} FOR UPDATE"

    def row(self, table: Table, columns: Collection[str]) -> str:
        return f"({', '.join(f'%s::{_TYPES[table.c[name].type.python_type]}' for name in columns)})"

    def parameters(self, rows: Sequence[Mapping[str, object]]) -> list[object]:
        return [_storable(value) for row in rows for value in row.values()]

    def continue_ids(self, connection: Connection, table: str) -> None:
        name = f"pg_get_serial_sequence('{table}', 'id')"
        execute(connection, f"SELECT setval({name}, (SELECT max(id) FROM {table}))")  # noqa: S608  # our own name


_TYPES: Mapping[type, str] = {str: "text", float: "float8", int: "int8"}


def _storable(value: object) -> object:
    """PostgreSQL keeps no NUL in a text; who can send one could otherwise have a post refused."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) and "\0" in value else value


def _number(key: str) -> int:
    """A number to lock for a key: two keys of one number wait for each other for nothing, very rarely."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), signed=True)


def _connect(engine: Engine) -> Any:
    """A connection of psycopg's that belongs to no pool."""
    pooled = engine.raw_connection()
    connection: Any = pooled.driver_connection
    pooled.detach()
    # Whoever leads says something once a second: one that has been stopped must not lead for ever.
    connection.execute(
        "SELECT set_config('idle_session_timeout', '10s', false) "
        "WHERE current_setting('server_version_num')::int >= 140000"
    )
    connection.execute("SET synchronous_commit = off")  # a beat need not be on disk
    return connection


def _engine(url: URL, isolation: Any, also: Mapping[str, str] = MappingProxyType({}), **options: Any) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        isolation_level=isolation,
        connect_args={name: value for name, value in CONNECTION.items() if name not in url.query},
        **options,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            for name, value in {**SESSION, **also}.items():
                cursor.execute("SELECT set_config(%s, %s, false)", [name, value])
            # A commit is on disk, not only on its way there.
            cursor.execute(
                "SELECT set_config('synchronous_commit', 'on', false) "
                "WHERE current_setting('synchronous_commit') = 'off'"
            )
        connection.commit()

    return engine
