"""Running a statement by the database's driver itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


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
