"""Backups of an SQLite store: made while the bridge runs, brought back while it does not."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import make_url

from bridge.errors import StoreError
from bridge.store import migrations
from bridge.store.dialects.sqlite import sqlite_file
from bridge.store.occupancy import alone


def back_up(url: str, target: Path) -> int:
    """Write the store as it is at this moment into a new file, for its owner's eyes only; returns its size in bytes.

    Writers do not wait for it. Raises StoreError where it cannot be done; a file that is there is never overwritten.
    """
    store = _file_of(url)
    if not store.is_file():
        raise StoreError(f"there is no store at {store}")
    if target.exists():
        raise _is_there(target)
    part = target.with_name(f".{target.name}.part")
    with _errors_of(target), _removed_at_the_end(part):
        _copy(store, part)
        _check(part, "PRAGMA quick_check(1)")
        try:
            os.link(part, target)  # unlike a renaming, it fails where somebody else has made the file meanwhile
        except FileExistsError:
            raise _is_there(target) from None
        _sync(target.parent)
        return target.stat().st_size


def restore(url: str, backup: Path) -> Path | None:
    """Put a backup in the place of the store; returns where the store that was there is kept, if there was one.

    Raises StoreError where the file is no sound backup or somebody uses the store; nothing is changed then.
    """
    store = _file_of(url)
    if not backup.is_file():
        raise StoreError(f"there is no backup {backup}")
    if store.exists() and store.samefile(backup):
        raise StoreError(f"{backup} is the store itself")
    store.parent.mkdir(parents=True, exist_ok=True)
    part = store.with_name(f".{store.name}.part")
    with _errors_of(backup), alone(store), _removed_at_the_end(part):
        _copy(backup, part)
        _check(part, "PRAGMA integrity_check(1)")
        _check_revision(part, backup)
        kept = _keep(store) if store.exists() else None
        part.replace(store)
        _sync(store.parent)
        return kept


def _file_of(url: str) -> Path:
    file = sqlite_file(make_url(url))
    if file is None:
        raise StoreError("this is for SQLite: back up and restore another database with its own tools, such as pg_dump")
    return file


def _is_there(target: Path) -> StoreError:
    return StoreError(f"{target} is there already: name another file")


@contextlib.contextmanager
def _errors_of(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{file}: {error.strerror if isinstance(error, OSError) else error}") from error


@contextlib.contextmanager
def _removed_at_the_end(part: Path) -> Iterator[None]:
    """A file for one try; one that an earlier try has left behind is of no use."""
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        yield
    finally:
        for suffix in ("", "-journal"):
            Path(f"{part}{suffix}").unlink(missing_ok=True)


def _reading(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(database.resolve()))}?mode=ro", uri=True)


def _copy(source: Path, target: Path) -> None:
    """All of a database in one step: in several, it would begin anew whenever somebody writes."""
    with closing(_reading(source)) as reading, closing(sqlite3.connect(target)) as writing:
        reading.backup(writing)
        writing.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
    _sync(target)


def _is_sound(store: Path) -> bool:
    try:
        _check(store, "PRAGMA quick_check(1)")
    except (StoreError, sqlite3.Error):
        return False
    return True


def _check(database: Path, check: str) -> None:
    with closing(_reading(database)) as connection:
        (found,) = connection.execute(check).fetchone()
    if found != "ok":
        raise StoreError(f"the database is damaged: {found}")


def _check_revision(database: Path, backup: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"alembic_version", "events", "deliveries"} <= tables:
            raise StoreError(f"{backup} is no store of callbridge")
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if not migrations.is_known(revision):
        raise StoreError(f"{backup} was made by a newer callbridge (revision {revision}): install that one")


def _keep(store: Path) -> Path:
    """Give the store a second name, with the log of its last writes, so that a renaming can take its place at once."""
    if _is_sound(store):  # what is damaged is kept as it is: SQLite would throw away a log that does not fit
        with contextlib.suppress(sqlite3.Error), closing(sqlite3.connect(store)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = store.with_name(f"{store.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    with contextlib.suppress(FileNotFoundError):
        Path(f"{store}-wal").rename(f"{kept}-wal")
    Path(f"{store}-shm").unlink(missing_ok=True)  # the index of the log, made anew where it is missing
    os.link(store, kept)
    return kept


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
