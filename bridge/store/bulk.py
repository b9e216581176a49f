"""Writing many rows by one statement.

The driver gives up the interpreter lock at every step of a statement, and with many threads about it waits for it anew
each time. `executemany` takes a step a row; this takes one for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Table


def insert_rows(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, object]], *, replace: Sequence[str] = ()
) -> None:
    """Insert rows that all have the same columns in the same order.

    Where a row with that primary key is there already, its columns `replace` take the new values.
    """
    if not rows:
        return
    columns = tuple(rows[0])
    statement = f"INSERT INTO {table.name} ({', '.join(columns)}) {_values(connection, rows)}"
    if replace:
        key = ", ".join(column.name for column in table.primary_key)
        statement += f" ON CONFLICT ({key}) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in replace)}"
    connection.exec_driver_sql(statement, tuple(value for row in rows for value in row.values()))


def update_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Update rows, found by their first column, which is the primary key; all have the same columns in the same order.

    The columns of a VALUES list are called column1, column2, … by SQLite and PostgreSQL alike.
    """
    if not rows:
        return
    key, *columns = rows[0]
    changes = ", ".join(f"{name} = new.column{number}" for number, name in enumerate(columns, 2))
    statement = (
        f"UPDATE {table.name} SET {changes} FROM ({_values(connection, rows)}) AS new "  # noqa: S608  # our own names
        f"WHERE {table.name}.{key} = new.column1"
    )
    connection.exec_driver_sql(statement, tuple(value for row in rows for value in row.values()))


def _values(connection: Connection, rows: Sequence[Mapping[str, object]]) -> str:
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    row = f"({', '.join([mark] * len(rows[0]))})"
    return f"VALUES {', '.join([row] * len(rows))}"
