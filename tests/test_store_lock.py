"""The write lock of a SQLite store: who waits for it gets it soon, and does not wait for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import OperationalError

from bridge.store.dialects import sqlite

INSERT = text("INSERT INTO kept VALUES (1)")


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[[], Engine]]:
    """Opens the same store once more, as another process would."""
    opened: list[Engine] = []

    def connect_one() -> Engine:
        opened.extend(sqlite.Sqlite().engines(make_url(f"sqlite:///{tmp_path / 'store.db'}")))
        return opened[-2]

    with connect_one().begin() as connection:
        connection.execute(text("CREATE TABLE kept (number INTEGER)"))
    yield connect_one
    for engine in opened:
        engine.dispose()


def test_who_waits_gets_a_turn_soon_while_another_one_writes_without_end(connect: Callable[[], Engine]) -> None:
    written = 0
    busy, enough = threading.Event(), threading.Event()

    def write_without_end() -> None:
        nonlocal written
        with connect().connect() as connection:
            while not enough.is_set():
                with connection.begin():
                    connection.execute(INSERT)
                    written += 1
                    busy.set()

    with ThreadPoolExecutor(1) as pool, connect().connect() as connection:
        endless = pool.submit(write_without_end)
        turns: list[int] = []
        try:
            for _ in range(5):
                busy.clear()
                assert busy.wait(20)  # the other one has the lock now
                before = written
                with connection.begin():
                    turns.append(written - before)
        finally:
            enough.set()
        endless.result(20)
    # SQLite's own waiting lets thousands go first.
    assert sum(turns) < 1500, turns


def test_a_lock_that_is_not_given_back_in_time_is_told(
    connect: Callable[[], Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.02)
    waiting = connect()
    with connect().begin(), pytest.raises(OperationalError, match="database is locked"), waiting.begin():
        pass
    with waiting.begin() as connection:
        assert connection.execute(INSERT).rowcount == 1
