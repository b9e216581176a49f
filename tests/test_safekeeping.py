"""Backups are whole, restoring loses nothing, and a damaged store is not run."""

from __future__ import annotations

import re
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from bridge.cli import main
from bridge.errors import StoreError
from bridge.store.database import Database
from bridge.testing import BridgeProcess, eventually, running_bridge

if TYPE_CHECKING:
    from tests.conftest import Desk

FORM = {"event_type": "ringing", "direction": "inbound"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "desk.toml"
    path.write_text(f'[store]\nurl = "sqlite:///{tmp_path / "desk.db"}"\n')
    return path


@pytest.fixture
def command(config: Path) -> Callable[..., Result]:
    """A command with the config of the desk."""
    return lambda *words: CliRunner().invoke(main, [*map(str, words), "--config", str(config)])


def calls(file: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as store:
        return [row[0] for row in store.execute("SELECT call_id FROM calls ORDER BY call_id")]


def closed(desk: Desk) -> None:
    desk.bridge.drain(1.0)
    desk.bridge.close()


# --- backup -------------------------------------------------------------------------------------------------------


def test_a_backup_is_one_file_with_all_that_was_answered_while_posts_go_on(
    open_desk: Callable[..., Desk], command: Callable[..., Result], tmp_path: Path
) -> None:
    desk = open_desk()
    answered: list[str] = []
    over = threading.Event()

    def go_on() -> None:
        while not over.is_set():
            answered.append(desk.post({**FORM, "call_uuid": f"{len(answered):04}"}).text)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        for number in range(5):
            before = list(answered)
            target = tmp_path / "backups" / f"{number}.db"
            target.parent.mkdir(exist_ok=True)
            done = command("backup", target)
            assert done.exit_code == 0, done.stderr
            kept = calls(target)
            assert kept[: len(before)] == before
            assert len(kept) <= len(answered) + 1
    finally:
        over.set()
        thread.join()
    assert sorted(file.name for file in target.parent.iterdir()) == [f"{number}.db" for number in range(5)]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_backup_never_overwrites_a_file(
    open_desk: Callable[..., Desk], command: Callable[..., Result], tmp_path: Path
) -> None:
    open_desk()
    target = tmp_path / "precious.txt"
    target.write_text("dear diary")
    done = command("backup", target)
    assert (done.exit_code, done.stderr) == (1, f"{target} is there already: name another file\n")
    assert target.read_text() == "dear diary"


@pytest.mark.parametrize("target", ["nowhere/backup.db", "."])
def test_a_backup_that_cannot_be_written_says_so(
    open_desk: Callable[..., Desk], command: Callable[..., Result], tmp_path: Path, target: str
) -> None:
    open_desk()
    done = command("backup", tmp_path / target)
    assert done.exit_code in (1, 2)
    assert len(done.stderr.strip().splitlines()[-1]) < 300
    assert "Traceback" not in done.stderr


def test_without_a_store_there_is_nothing_to_back_up(command: Callable[..., Result], tmp_path: Path) -> None:
    done = command("backup", tmp_path / "backup.db")
    assert (done.exit_code, done.stderr) == (1, f"there is no store at {tmp_path / 'desk.db'}\n")
    assert not (tmp_path / "desk.db").exists()


# --- restore ------------------------------------------------------------------------------------------------------


@pytest.fixture
def backup(open_desk: Callable[..., Desk], command: Callable[..., Result], tmp_path: Path) -> Path:
    """A backup with the call `old`, of a store that has the call `new` by now, and is closed."""
    desk = open_desk()
    desk.post({**FORM, "call_uuid": "old"})
    assert command("backup", tmp_path / "backup.db").exit_code == 0
    desk.post({**FORM, "call_uuid": "new"})
    closed(desk)
    return tmp_path / "backup.db"


def test_a_backup_is_restored_and_what_was_there_is_kept_beside_it(
    backup: Path, command: Callable[..., Result], tmp_path: Path, open_desk: Callable[..., Desk]
) -> None:
    done = command("restore", backup)
    assert done.exit_code == 0, done.stderr
    (kept,) = tmp_path.glob("desk.db.before-*")
    assert str(kept) in done.stdout
    assert calls(tmp_path / "desk.db") == ["old"]
    assert calls(kept) == ["new", "old"]
    assert stat.S_IMODE((tmp_path / "desk.db").stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.glob(".*")] == []

    desk = open_desk()
    assert desk.post({**FORM, "call_uuid": "newer"}).status_code == 200
    assert {event["data"]["call"]["id"] for event in desk.events()} == {"old", "newer"}


def test_a_backup_is_restored_where_there_is_no_store(
    backup: Path, command: Callable[..., Result], tmp_path: Path
) -> None:
    (tmp_path / "desk.db").unlink()
    assert command("restore", backup).exit_code == 0
    assert calls(tmp_path / "desk.db") == ["old"]


def test_a_damaged_store_is_replaced_and_kept_with_its_log(
    backup: Path, command: Callable[..., Result], tmp_path: Path
) -> None:
    for name in ("desk.db", "desk.db-wal"):
        (tmp_path / name).write_bytes(b"dear diary" * 1000)
    assert command("restore", backup).exit_code == 0
    assert calls(tmp_path / "desk.db") == ["old"]
    kept = sorted(tmp_path.glob("desk.db.before-*"))
    assert [file.read_bytes()[:10] for file in kept] == [b"dear diary"] * 2


def test_nothing_is_restored_while_a_bridge_runs(
    backup: Path, command: Callable[..., Result], tmp_path: Path, open_desk: Callable[..., Desk]
) -> None:
    desk = open_desk()
    done = command("restore", backup)
    assert (done.exit_code, done.stderr) == (1, f"a callbridge uses {tmp_path / 'desk.db'}: stop it first\n")
    assert len(desk.events()) == 2
    closed(desk)
    assert command("restore", backup).exit_code == 0


def test_a_bridge_that_was_killed_does_not_keep_anybody_from_restoring(tmp_path: Path) -> None:
    bridge = BridgeProcess(tmp_path, "")

    def command(*words: str) -> Result:
        return CliRunner().invoke(main, [*words, "--config", str(bridge.config)])

    try:
        bridge.start()
        assert bridge.post("/event", {**FORM, "call_uuid": "1"}).status_code == 200
        target = tmp_path / "backup.db"
        assert command("backup", str(target)).exit_code == 0
        assert "stop it first" in command("restore", str(target)).stderr
        bridge.kill()
        # The kernel ends the worker a moment after its parent.
        eventually(lambda: command("restore", str(target)).exit_code == 0, "the restoring")
        bridge.start()
        assert [row["id"] for row in bridge.rows("calls")] == ["1"]
    finally:
        bridge.close()


def test_a_store_is_not_opened_while_it_is_restored(tmp_path: Path) -> None:
    # Another process, as it would be.
    lock = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(1, flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", lock, str(tmp_path / "desk.db.lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(StoreError, match="is being restored: try again"):
            Database(f"sqlite:///{tmp_path / 'desk.db'}")
        holder.communicate(b"\n")
    Database(f"sqlite:///{tmp_path / 'desk.db'}").close()


def other_database(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE cats (name TEXT)")


def newer(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


def no_database(file: Path) -> None:
    file.write_text("dear diary " * 1000)


def half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (no_database, "file is not a database"),
        (half, "malformed|damaged"),
        (other_database, "is no store of callbridge"),
        (newer, "made by a newer callbridge"),
        (Path.unlink, "there is no backup"),
    ],
)
def test_what_is_no_sound_backup_is_refused_and_nothing_changes(
    backup: Path, command: Callable[..., Result], tmp_path: Path, spoil: Callable[[Path], Any], said: str
) -> None:
    if spoil is other_database:
        backup.unlink()
    spoil(backup)
    done = command("restore", backup)
    assert done.exit_code == 1
    assert re.search(said, done.stderr)
    assert calls(tmp_path / "desk.db") == ["new", "old"]
    assert list(tmp_path.glob("desk.db.before-*")) == []


def test_the_store_is_no_backup_of_itself(backup: Path, command: Callable[..., Result], tmp_path: Path) -> None:
    assert "is the store itself" in command("restore", tmp_path / "desk.db").stderr


# --- damage -------------------------------------------------------------------------------------------------------


def overwrite(pages: slice) -> Callable[[Path], None]:
    def spoil(file: Path) -> None:
        data = bytearray(file.read_bytes())
        size = 4096
        for page in range(len(data) // size)[pages]:
            data[page * size : (page + 1) * size] = b"\xa5" * size
        file.write_bytes(data)

    return spoil


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The store of a bridge that has kept some calls and has stopped."""
    with running_bridge(tmp_path_factory.mktemp("whole"), "") as bridge:
        for number in range(30):
            bridge.post("/event", {**FORM, "call_uuid": str(number), "note": "x" * 500})
        bridge.stop()
        return bridge.database.read_bytes()


@pytest.fixture
def damaged(tmp_path: Path, whole: bytes) -> Iterator[BridgeProcess]:
    """A bridge that does not run yet and is about to have its store damaged."""
    bridge = BridgeProcess(tmp_path, "")
    bridge.database.write_bytes(whole)
    yield bridge
    bridge.close()


@pytest.mark.parametrize("spoil", [no_database, overwrite(slice(0, 1)), overwrite(slice(-6, None)), half])
def test_a_damaged_store_is_refused_at_the_start_with_what_to_do(
    damaged: BridgeProcess, spoil: Callable[[Path], None]
) -> None:
    spoil(damaged.database)
    spoiled = damaged.database.read_bytes()
    damaged.start(until_ready=False)
    assert damaged.wait() == 1
    log = damaged.log.read_text()
    assert "it is damaged: bring back a backup (`callbridge restore FILE`)" in log
    assert "Traceback" not in log
    assert damaged.database.read_bytes() == spoiled
