"""The statements every post and every delivery needs, run by the driver itself, many rows at a time.

SQLAlchemy's own way of running a statement costs several times what SQLite needs for it. And the driver gives up the
interpreter lock at every step of a statement, and with many threads about it waits for it anew each time: `executemany`
takes a step a row, a VALUES list one for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table

from bridge.store.database import execute


def select_in(
    connection: Connection, table: Table, columns: Sequence[str], key: str, values: Sequence[object], also: str = ""
) -> list[Any]:
    """The rows whose column `key` is one of the values, as tuples of `columns`; `also` is a further condition.

    Where the database can, they are locked until the end of the transaction, in the order of the key.
    """
    if not values:
        return []
    statement = f"SELECT {', '.join(columns)} FROM {table.name} WHERE {key} IN {_row(connection, len(values))}"  # noqa: S608  # our own names
    if also:
        statement += f" AND {also}"
    if connection.dialect.name != "sqlite":  # a transaction of SQLite's has the whole database to itself
        statement += f" ORDER BY {key} FOR UPDATE"
    return execute(connection, statement, values)


def insert_rows(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, object]], *, replace: Sequence[str] = ()
) -> None:
    """Insert rows that all have the same columns in the same order.

    Where a row with that primary key is there already, its columns `replace` take the new values.
    """
    if not rows:
        return
    if len(rows) > (most := _most_rows(rows)):
        insert_rows(connection, table, rows[:most], replace=replace)
        insert_rows(connection, table, rows[most:], replace=replace)
        return
    statement = f"INSERT INTO {table.name} ({', '.join(rows[0])}) {_values(connection, rows)}"
    if replace:
        key = ", ".join(column.name for column in table.primary_key)
        statement += f" ON CONFLICT ({key}) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in replace)}"
    execute(connection, statement, _flat(rows))


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
        f"UPDATE {table.name} SET {changes} FROM ({_values(connection, rows)}) AS new "  # noqa: S608  # our own names
        f"WHERE {table.name}.{key} = new.column1"
    )
    execute(connection, statement, _flat(rows))


def _most_rows(rows: Sequence[Mapping[str, object]]) -> int:
    """How many rows one statement takes: SQLite allows 32,766 parameters, unless it was built to allow more."""
    return max(1, 30_000 // len(rows[0]))


def _values(connection: Connection, rows: Sequence[Mapping[str, object]]) -> str:
    return f"VALUES {', '.join([_row(connection, len(rows[0]))] * len(rows))}"


def _row(connection: Connection, length: int) -> str:
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    return f"({', '.join([mark] * length)})"


def _flat(rows: Sequence[Mapping[str, object]]) -> list[object]:
    return [value for row in rows for value in row.values()]
