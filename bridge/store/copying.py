"""Copying a whole store into an empty one, of the same kind of database or another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Table, func, make_url, select
from sqlalchemy.exc import SQLAlchemyError

from bridge.errors import StoreError
from bridge.store import migrations, schema
from bridge.store.bulk import insert_rows
from bridge.store.database import Database, store_error
from bridge.store.dialects import dialect_of
from bridge.store.dialects.sqlite import sqlite_file
from bridge.store.occupancy import alone

CHUNK = 1000
"""Rows that are read and written at a time."""


def copy_store(source: str, target: str) -> Iterator[tuple[str, int]]:
    """Copy every table of a store that nobody serves into an empty one; yields each table's name and how many rows.

    All is copied or nothing: it is one transaction, committed after the last table. Raises StoreError where one of the
    two cannot be used, the target holds something, or something is missing there afterwards.
    """
    file = sqlite_file(make_url(source))
    if file is not None:
        _refuse_used(file)
    with _opened(source) as origin, _opened(target) as copy:
        try:
            with origin.reader.begin() as reading:
                if not migrations.is_current(reading):
                    raise StoreError("the store is of another version: run `callbridge migrate` for it first")
                copy.refuse_damaged()
                copy.migrate()
                with copy.writer.begin() as writing:
                    _refuse_filled(writing)
                    for table in schema.metadata.sorted_tables:
                        yield table.name, _copy_table(reading, writing, table)
        except SQLAlchemyError as error:
            raise store_error(error) from error


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.close()


def _refuse_used(file: Path) -> None:
    if not file.is_file():
        raise StoreError(f"there is no store at {file}")
    with alone(file):
        pass


def _refuse_filled(writing: Connection) -> None:
    filled = [table.name for table in schema.metadata.sorted_tables if _count(writing, table)]
    if filled:
        raise StoreError(f"there is something in the target already ({', '.join(filled)}): copy into an empty database")


def _copy_table(reading: Connection, writing: Connection, table: Table) -> int:
    rows = reading.execution_options(yield_per=CHUNK).execute(select(table)).mappings()
    for chunk in rows.partitions():
        insert_rows(writing, table, [dict(row) for row in chunk])
    expected, copied = _count(reading, table), _count(writing, table)
    if expected != copied:
        raise StoreError(f"of {expected} rows of {table.name} {copied} have arrived: nothing is copied")
    if table.autoincrement_column is not None and copied:
        dialect_of(writing).continue_ids(writing, table.name)
    return copied


def _count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()
