"""What is kept must be found again: nothing is written into a file that is no longer the store."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bridge.errors import StoreError
from bridge.store.presence import Presence


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE kept (number)")
    return path


def test_a_file_that_is_where_it_was_may_be_used_and_so_may_one_that_is_still_to_be_made(file: Path) -> None:
    for path in (file, file.with_name("new.db")):
        presence = Presence(path)
        presence.check()
        presence.check()
        presence.end()


def test_a_file_that_was_moved_away_is_missed_until_it_is_back(file: Path) -> None:
    presence, away = Presence(file), file.with_name("away.db")
    presence.check()
    file.rename(away)
    with pytest.raises(StoreError, match=r"No such file or directory: put the file back, or restart the bridge"):
        presence.check()
    away.rename(file)
    presence.check()
    presence.end()


def test_another_file_in_its_place_is_refused_however_good_it_is(file: Path) -> None:
    presence, other = Presence(file), file.with_name("other.db")
    presence.check()
    other.write_bytes(file.read_bytes())
    other.rename(file)
    with pytest.raises(StoreError, match="another file has taken its place"):
        presence.check()
    presence.end()


@pytest.mark.parametrize("damage", [b"", bytes(8192)])
def test_a_file_that_is_no_database_any_more_is_damaged(file: Path, damage: bytes) -> None:
    presence = Presence(file)
    presence.check()
    file.write_bytes(damage)
    with pytest.raises(StoreError, match=r"it is damaged: .*callbridge restore FILE"):
        presence.check()
    presence.end()


def test_the_locks_of_sqlite_outlive_every_look(file: Path) -> None:
    presence = Presence(file)
    look = f"import sqlite3; sqlite3.connect({str(file)!r}, timeout=0).execute('SELECT * FROM kept')"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        presence.check()
        presence.check()
        beside = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=False)
        assert "database is locked" in beside.stderr
    presence.end()
