"""Inserting many rows by one statement.

The driver gives up the interpreter lock at every step of a statement, and with many threads about it waits for it anew
each time. `executemany` takes a step a row; this takes one for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Table


def insert_rows(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, object]], *, replace: Sequence[str] = ()
) -> None:
    """Insert rows that all have the same columns.

    Where a row with that primary key is there already, its columns `replace` take the new values.
    """
    if not rows:
        return
    columns = tuple(rows[0])
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    row = f"({', '.join([mark] * len(columns))})"
    statement = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES {', '.join([row] * len(rows))}"  # noqa: S608  # names of our own schema
    if replace:
        key = ", ".join(column.name for column in table.primary_key)
        statement += f" ON CONFLICT ({key}) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in replace)}"
    connection.exec_driver_sql(statement, tuple(row[column] for row in rows for column in columns))
