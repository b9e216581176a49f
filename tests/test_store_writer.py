"""The one thread that writes: group commit, bad items, a store that cannot be used for a while."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DatabaseError, OperationalError

from bridge.errors import StoreError
from bridge.store.database import Database
from bridge.store.dialects import sqlite
from bridge.store.writer import Writer
from bridge.testing import eventually


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a store with one table; a transaction waits 50 ms for the lock."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    file = tmp_path / "store.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE kept (name TEXT NOT NULL UNIQUE)")
    connection.close()
    return file


@pytest.fixture
def start(path: Path) -> Iterator[Callable[..., Writer]]:
    """Starts a writer on the store."""
    opened: list[tuple[Writer, Database]] = []

    def start_one(on_foreign_write: Callable[[], None] = lambda: None) -> Writer:
        database = Database(f"sqlite:///{path}")
        writer = Writer(database)
        writer.start(on_foreign_write)
        opened.append((writer, database))
        return writer

    yield start_one
    for writer, database in opened:
        writer.stop()
        database.close()


def keep(connection: Connection, names: Sequence[str]) -> list[str]:
    """Work: keep the names, one statement each; "worse" is a fault of the work itself."""
    for name in names:
        connection.execute(text("INSERT INTO kept VALUES (:name)"), {"name": name})
        if name == "worse":
            raise LookupError(name)
    return [f"kept {name}" for name in names]


def kept(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM kept ORDER BY rowid")]
    connection.close()
    return names


class Busy:
    """Keeps the writer busy, so that what is submitted meanwhile goes into one transaction."""

    def __init__(self, writer: Writer) -> None:
        self._entered, self._over = threading.Event(), threading.Event()
        writer.submit(self._wait, None)
        assert self._entered.wait(20)

    def _wait(self, connection: Connection, items: Sequence[None]) -> Sequence[None]:
        self._entered.set()
        assert self._over.wait(20)
        return items

    def end(self) -> None:
        self._over.set()


def test_what_many_threads_ask_for_at_once_is_committed_together_and_each_is_answered(
    start: Callable[..., Writer], path: Path
) -> None:
    batches: list[int] = []

    def counted(connection: Connection, names: Sequence[str]) -> list[str]:
        batches.append(len(names))
        return keep(connection, names)

    writer = start()
    busy = Busy(writer)
    jobs = [writer.submit(counted, str(number)) for number in range(50)]
    busy.end()

    assert [job.result(20) for job in jobs] == [f"kept {number}" for number in range(50)]
    assert batches == [50]
    assert kept(path) == [str(number) for number in range(50)]


def test_work_of_different_kinds_goes_into_one_transaction_too(start: Callable[..., Writer], path: Path) -> None:
    writer = start()
    busy = Busy(writer)
    first = writer.submit(keep, "a")
    second = writer.submit(lambda connection, items: [connection.in_transaction()] * len(items), None)
    busy.end()

    assert (first.result(20), second.result(20)) == ("kept a", True)


def test_what_is_asked_for_while_another_process_writes_shares_the_next_transaction(
    start: Callable[..., Writer], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    beginning = threading.Event()
    begin = sqlite._begin_to_write

    def counted(connection: Connection, names: Sequence[str]) -> list[str]:
        batches.append(len(names))
        return keep(connection, names)

    def begin_to_write(connection: Connection) -> None:
        beginning.set()
        begin(connection)

    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 20)
    monkeypatch.setattr(sqlite, "_begin_to_write", begin_to_write)
    writer = start()
    writer.call(keep, "first")
    beginning.clear()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    jobs = [writer.submit(counted, "a")]
    assert beginning.wait(20)
    jobs += [writer.submit(counted, name) for name in ("b", "c")]
    other.execute("ROLLBACK")
    other.close()

    assert [job.result(20) for job in jobs] == ["kept a", "kept b", "kept c"]
    assert batches == [3]


@pytest.mark.parametrize(("bad", "error"), [("a", StoreError), ("worse", LookupError)])
def test_one_bad_item_does_not_fail_the_others(
    start: Callable[..., Writer], path: Path, bad: str, error: type[Exception]
) -> None:
    writer = start()
    busy = Busy(writer)
    jobs = [writer.submit(keep, name) for name in ("a", "b", bad, "c")]
    busy.end()

    with pytest.raises(error):
        jobs[2].result(20)
    assert [jobs[index].result(20) for index in (0, 1, 3)] == ["kept a", "kept b", "kept c"]
    assert kept(path) == ["a", "b", "c"]


def test_work_that_answers_for_too_few_keeps_nothing(start: Callable[..., Writer], path: Path) -> None:
    job = start().submit(lambda connection, names: keep(connection, names)[1:], "a")

    with pytest.raises(ValueError, match="shorter"):
        job.result(20)
    assert kept(path) == []


def test_a_locked_store_fails_what_is_asked_and_works_again_by_itself(start: Callable[..., Writer], path: Path) -> None:
    writer = start()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for name in ("secret a", "secret b"):
        with pytest.raises(StoreError, match="database is locked") as caught:
            writer.call(keep, name)
        assert "secret" not in str(caught.value)
        assert "INSERT" not in str(caught.value)
    other.execute("ROLLBACK")
    other.close()

    assert writer.call(keep, "c") == "kept c"
    assert kept(path) == ["c"]


def test_a_store_that_breaks_in_the_middle_of_a_transaction_fails_all_of_it_and_recovers(
    start: Callable[..., Writer], path: Path
) -> None:
    def break_once(connection: Connection, names: Sequence[str]) -> list[str]:
        keep(connection, names)
        raise sqlite_error

    sqlite_error = OperationalError("INSERT", {}, sqlite3.OperationalError("disk I/O error"))
    writer = start()
    busy = Busy(writer)
    jobs = [writer.submit(keep, "a"), writer.submit(break_once, "b")]
    busy.end()
    for job in jobs:
        with pytest.raises(StoreError, match="disk I/O error"):
            job.result(20)

    assert kept(path) == []
    assert writer.call(keep, "c") == "kept c"


def test_a_store_that_cannot_be_opened_is_tried_again_with_the_next_work(path: Path) -> None:
    database = Database(f"sqlite:///{path}")
    aside = path.with_suffix(".aside")
    path.rename(aside)
    path.mkdir()
    writer = Writer(database)
    writer.start(lambda: None)
    with pytest.raises(StoreError, match="unable to open"):
        writer.call(keep, "a")
    path.rmdir()
    aside.rename(path)

    assert writer.call(keep, "b") == "kept b"
    writer.stop()
    database.close()


def test_who_does_not_want_to_wait_any_longer_has_nothing_done(start: Callable[..., Writer], path: Path) -> None:
    writer = start()
    busy = Busy(writer)
    with pytest.raises(StoreError, match="in time"):
        writer.call(keep, "a", 0.01)
    busy.end()

    assert writer.call(keep, "b") == "kept b"
    assert kept(path) == ["b"]


def test_stopping_commits_what_has_been_asked_for_and_takes_no_more(path: Path) -> None:
    database = Database(f"sqlite:///{path}")
    writer = Writer(database)
    writer.start(lambda: None)
    busy = Busy(writer)
    jobs = [writer.submit(keep, str(number)) for number in range(5)]
    busy.end()
    writer.stop()
    database.close()

    assert [job.result(0) for job in jobs] == [f"kept {number}" for number in range(5)]
    assert kept(path) == ["0", "1", "2", "3", "4"]
    with pytest.raises(StoreError, match="stopping"):
        writer.submit(keep, "6")


def test_what_another_process_writes_is_noticed_and_what_this_one_writes_is_not(
    start: Callable[..., Writer], path: Path
) -> None:
    noticed: list[int] = []
    writer = start(lambda: noticed.append(1))
    writer.call(keep, "own")
    writer.call(keep, "own too")
    with sqlite3.connect(path) as other:
        other.execute("INSERT INTO kept VALUES ('foreign')")
    other.close()
    eventually(lambda: noticed, "the notice of the foreign write", within=5)

    assert noticed == [1]


def test_a_commit_is_synced_to_disk(path: Path) -> None:
    database = Database(f"sqlite:///{path}")
    for engine in (database.writer, database.reader):
        with engine.connect() as connection:
            settings = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")]
        assert settings == ["wal", 2]
    database.close()


def test_what_is_promised_is_told_after_the_commit(start: Callable[..., Writer], path: Path) -> None:
    told: SimpleQueue[tuple[object, list[str]]] = SimpleQueue()
    start().promise(keep, "a", lambda answer: told.put((answer, kept(path))), 20)

    assert told.get(timeout=20) == ("kept a", ["a"])


def test_what_is_promised_and_not_done_is_told_with_the_reason(start: Callable[..., Writer]) -> None:
    told: SimpleQueue[object] = SimpleQueue()
    writer = start()
    writer.promise(keep, "worse", told.put, 20)

    assert isinstance(told.get(timeout=20), LookupError)
    writer.stop()
    writer.promise(keep, "a", told.put, 20)
    assert str(told.get(timeout=20)) == "the bridge is stopping"


def test_what_is_promised_is_refused_in_time_though_the_store_hangs_and_is_not_done_then(
    start: Callable[..., Writer], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.store.writer.WATCH_SECONDS", 0.01)
    told: SimpleQueue[object] = SimpleQueue()
    writer = start()
    busy = Busy(writer)
    writer.promise(keep, "a", told.put, 0.01)
    writer.promise(keep, "b", told.put, 20)
    assert str(told.get(timeout=20)) == "the store does not answer in time"
    busy.end()

    assert told.get(timeout=20) == "kept b"
    assert kept(path) == ["b"]


def test_what_fails_after_a_commit_costs_the_others_nothing(start: Callable[..., Writer], path: Path) -> None:
    told: SimpleQueue[object] = SimpleQueue()
    writer = start()
    busy = Busy(writer)
    writer.promise(keep, "a", lambda _: [][0], 20)
    writer.promise(keep, "b", told.put, 20)
    busy.end()

    assert told.get(timeout=20) == "kept b"
    assert kept(path) == ["a", "b"]


def test_the_trouble_with_the_store_is_told_until_it_is_over_and_damage_until_the_end(
    start: Callable[..., Writer],
) -> None:
    def fail(_connection: Connection, codes: Sequence[int]) -> list[None]:
        for code in filter(None, codes):
            error = sqlite3.DatabaseError("what SQLite says")
            error.sqlite_errorcode = code
            raise DatabaseError("statement", None, error)
        return [None] * len(codes)

    writer = start()
    with pytest.raises(StoreError, match="what SQLite says"):
        writer.call(fail, sqlite3.SQLITE_FULL)
    assert "what SQLite says" in str(writer.trouble)
    writer.call(fail, 0)
    assert writer.trouble is None
    with pytest.raises(StoreError, match="it is damaged"):
        writer.call(fail, sqlite3.SQLITE_CORRUPT)
    writer.call(fail, 0)
    assert "callbridge restore FILE" in str(writer.trouble)
