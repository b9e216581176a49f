"""A whole store copied into an empty one: from SQLite to PostgreSQL, and back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from bridge.cli import main
from bridge.errors import TemporaryFailure
from bridge.store import Aside, Database, copying, schema
from bridge.store.arrivals import keep_aside
from bridge.store.feeds import Beside, Feeds
from bridge.testing import free_port
from tests.plugins_for_tests.cluster import PASSWORD, SPELLED, Cluster
from tests.plugins_for_tests.rig import START, Chat, connector, rig


@pytest.fixture
def filled(tmp_path: Path) -> str:
    """A store that has something in every table."""
    with rig(tmp_path, (connector(rate="1/m"), Chat(TemporaryFailure("düşmüş")))) as bridge:
        bridge.post("ringing", "1")
        bridge.miss("1", "2\0", "3")
        bridge.settle()
        at = datetime.fromtimestamp(START, UTC)
        bridge.store.run(keep_aside, Aside(at, "pbx", "no call id", {"event_type": "ringing"}))
    url = f"sqlite:///{tmp_path / 'rig.db'}"
    store = Beside(url)
    for number in range(3):
        Feeds(store, lambda: START).of("wall").publish("a", {"n": number}, keep=None)
    store.close()
    return url


@pytest.fixture
def copy() -> Callable[..., Result]:
    return lambda *words: CliRunner().invoke(main, ["copy", *words])


def tables(url: str) -> dict[str, list[Any]]:
    """Everything in a store."""
    database = Database(url)
    with database.reader.begin() as connection:
        found = {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in schema.metadata.sorted_tables
        }
    database.close()
    return found


def without_nul(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row as PostgreSQL keeps it."""
    return tuple(value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in row)


def test_a_store_goes_to_postgresql_and_back_as_it_was(
    filled: str, copy: Callable[..., Result], cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "CHUNK", 2)
    there, back = cluster.new_database(empty=True), f"sqlite:///{tmp_path / 'back.db'}"
    first, second = copy("--from", filled, "--to", there), copy("--from", there, "--to", back)
    assert (first.exit_code, second.exit_code) == (0, 0), first.stderr + second.stderr
    assert "3 calls" in first.stdout
    assert PASSWORD not in first.stdout

    before = tables(filled)
    assert all(before.values())
    assert tables(back) == tables(there)
    assert tables(back) == {name: [without_nul(row) for row in rows] for name, rows in before.items()}
    for url in (there, back):
        store = Beside(url)
        assert Feeds(store).of("wall").publish("a", {}, keep=None) == 4
        store.close()


def test_nothing_is_copied_over_something(filled: str, copy: Callable[..., Result], tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path / 'target.db'}"
    assert copy("--from", filled, "--to", target).exit_code == 0
    before = tables(target)
    done = copy("--from", filled, "--to", target)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("there is something in the target already (")
    assert tables(target) == before


def test_a_copy_that_fails_halfway_leaves_nothing_and_can_be_begun_anew(
    filled: str, copy: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = f"sqlite:///{tmp_path / 'target.db'}"
    count = copying._count
    with monkeypatch.context() as broken:
        broken.setattr(
            copying,
            "_count",
            lambda one, table: (
                count(one, table) + (table.name == "events" and one.engine.url.database.endswith("rig.db"))
            ),
        )
        done = copy("--from", filled, "--to", target)
    assert (done.exit_code, "rows of events" in done.stderr) == (1, True)
    assert not any(tables(target).values())
    assert copy("--from", filled, "--to", target).exit_code == 0


def test_a_store_that_is_in_use_is_not_copied(filled: str, copy: Callable[..., Result], tmp_path: Path) -> None:
    bridge = Database(filled)
    done = copy("--from", filled, "--to", f"sqlite:///{tmp_path / 'target.db'}")
    bridge.close()
    assert (done.exit_code, "stop it first" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "say where"),
        (["--from", "sqlite:///nothing.db", "--to", "sqlite:///new.db"], 1, "there is no store at nothing.db"),
        (["--from", "sqlite:///a.db", "--to", "sqlite:///a.db"], 2, "are the same store"),
        (["--from", "sqlite:///a.db", "--to", "mysql://me:hunter2@db"], 2, "PostgreSQL database"),
    ],
)
def test_a_copy_that_makes_no_sense_is_refused(
    copy: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = copy(*words)
    assert (done.exit_code, said in done.stderr, "hunter2" in done.output) == (code, True, False)


def test_a_target_that_is_not_there_is_said_without_its_password(filled: str, copy: Callable[..., Result]) -> None:
    done = copy("--from", filled, "--to", f"postgresql+psycopg://bridge:{SPELLED}@127.0.0.1:{free_port()}/calls")
    assert done.exit_code == 1
    assert "Connection refused" in done.stderr
    assert PASSWORD not in done.stderr
    assert SPELLED not in done.stderr
