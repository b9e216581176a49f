"""What a store shows, read beside the bridges that use it, whatever kind it is."""

from __future__ import annotations

from typing import Any

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from bridge.store.dialects.sqlite import sqlite_file


class Books:
    """The store at a URL. Nothing is kept open between two looks."""

    def __init__(self, url: str) -> None:
        address = make_url(url)
        if (file := sqlite_file(address)) is not None:
            address = address.set(database=f"file:{file}", query={"mode": "ro", "uri": "true"})
        self._engine = create_engine(address, poolclass=NullPool)

    def rows(self, query: str, **values: object) -> list[tuple[Any, ...]]:
        """What a query finds."""
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query), values)]
