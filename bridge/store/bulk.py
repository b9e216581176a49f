"""The statements every post and every delivery needs, run by the driver itself, many rows at a time.

SQLAlchemy's own way of running a statement costs several times what SQLite needs for it. And the driver gives up the
interpreter lock at every step of a statement, and with many threads about it waits for it anew each time: `executemany`
takes a step a row, a VALUES list one for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table

from bridge.store.dialects import dialect_of
from bridge.store.driver import execute


def select_in(
    connection: Connection,
    table: Table,
    columns: Sequence[str],
    key: str,
    values: Sequence[object],
    also: str = "",
    *,
    lock: bool = False,
) -> list[Any]:
    """The rows whose column `key` is one of the values, as tuples of `columns`; `also` is a further condition.

    With `lock` nobody else changes them until the end of the transaction.
    """
    if not values:
        return []
    dialect = dialect_of(connection)
    condition, parameters = dialect.one_of(key, values)
    statement = f"SELECT {', '.join(columns)} FROM {table.name} WHERE {condition}"  # noqa: S608  # our own names
    if also:
        statement += f" AND {also}"
    if lock:
        statement += dialect.lock_rows(table)
    return execute(connection, statement, parameters)


def insert_rows(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, object]], *, replace: Sequence[str] | None = None
) -> None:
    """Insert rows that all have the same columns in the same order.

    Where a row with that primary key is there already, its columns `replace` take the new values; () leaves it alone.
    """
    if not rows:
        return
    if len(rows) > (most := _most_rows(rows)):
        insert_rows(connection, table, rows[:most], replace=replace)
        insert_rows(connection, table, rows[most:], replace=replace)
        return
    statement = f"INSERT INTO {table.name} ({', '.join(rows[0])}) {_values(connection, table, rows)}"
    if replace is not None:
        key = ", ".join(column.name for column in table.primary_key)
        changes = ", ".join(f"{name} = excluded.{name}" for name in replace)
        statement += f" ON CONFLICT ({key}) DO {f'UPDATE SET {changes}' if changes else 'NOTHING'}"
    execute(connection, statement, dialect_of(connection).parameters(rows))


def update_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Update rows, found by their first column, which is the primary key; all have the same columns in the same order.

    The columns of a VALUES list are called column1, column2, … by SQLite and PostgreSQL alike.
    """
    if not rows:
        return
    if len(rows) > (most := _most_rows(rows)):
        update_rows(connection, table, rows[:most])
        update_rows(connection, table, rows[most:])
        return
    key, *columns = rows[0]
    changes = ", ".join(f"{name} = new.column{number}" for number, name in enumerate(columns, 2))
    statement = (
        f"UPDATE {table.name} SET {changes} FROM ({_values(connection, table, rows)}) AS new "  # noqa: S608  # our own names
        f"WHERE {table.name}.{key} = new.column1"
    )
    execute(connection, statement, dialect_of(connection).parameters(rows))


def _most_rows(rows: Sequence[Mapping[str, object]]) -> int:
    """How many rows one statement takes: SQLite allows 32,766 parameters, unless it was built to allow more."""
    return max(1, 30_000 // len(rows[0]))


def _values(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> str:
    row = dialect_of(connection).row(table, rows[0])
    return f"VALUES {', '.join([row] * len(rows))}"
