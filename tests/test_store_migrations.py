"""The schema is alembic's from the first table on, and the code and the migrations agree on it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from bridge.errors import StoreError
from bridge.health import Health
from bridge.store import migrations
from bridge.store.database import Database
from bridge.store.outcomes import load_healths
from bridge.store.schema import metadata


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A store that nobody has migrated yet."""
    one = Database(f"sqlite:///{tmp_path / 'deep' / 'store.db'}")
    yield one
    one.close()


def test_the_migrations_lead_to_the_schema_of_the_code(database: Database) -> None:
    database.migrate()
    with database.reader.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_migrations_make_every_index_of_the_code_with_its_condition(database: Database, tmp_path: Path) -> None:
    made_by_code = Database(f"sqlite:///{tmp_path / 'code.db'}")
    with made_by_code.writer.begin() as connection:
        metadata.create_all(connection)
    database.migrate()
    query = text("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name")
    with database.reader.connect() as ours, made_by_code.reader.connect() as theirs:
        assert ours.execute(query).all() == theirs.execute(query).all()
    made_by_code.close()


def test_how_connectors_did_before_they_had_targets_is_kept(database: Database) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with database.writer.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        paused = Health().pause().to_json()
        connection.execute(text("INSERT INTO connectors (name, health) VALUES ('chat', :health)"), {"health": paused})
    database.migrate()

    with database.reader.connect() as connection:
        assert load_healths(connection, None) == {("chat", ""): Health().pause()}


def test_migrating_twice_is_harmless(database: Database) -> None:
    database.migrate()
    with database.writer.begin() as connection:
        connection.execute(text("INSERT INTO heartbeat VALUES ('bridge', 1.0)"))
    database.migrate()
    database.migrate_apart()

    with database.reader.connect() as connection:
        assert connection.execute(text("SELECT name FROM heartbeat")).scalars().all() == ["bridge"]
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1


@pytest.mark.parametrize("time", range(6))  # what can go wrong here goes wrong but now and then
def test_several_may_migrate_at_once(tmp_path: Path, time: int) -> None:
    databases = [Database(f"sqlite:///{tmp_path / 'store.db'}") for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(Database.migrate, databases))
    for one in databases:
        with one.reader.connect() as connection:
            assert inspect(connection).has_table("deliveries")
        one.close()


@pytest.mark.parametrize("migrate", [Database.migrate, Database.migrate_apart])
def test_a_store_of_a_newer_callbridge_is_refused_and_left_as_it_is(database: Database, migrate: object) -> None:
    database.migrate()
    with database.writer.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StoreError, match=r"newer callbridge .*9999"):
        migrate(database)  # type: ignore[operator]  # one of the two methods
    with database.reader.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"


def test_a_migration_that_fails_leaves_nothing_half_done(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with database.writer.begin() as connection:
        connection.execute(text("CREATE TABLE heartbeat (name TEXT)"))
    with pytest.raises(StoreError, match="already exists"):
        database.migrate()

    with database.reader.connect() as connection:
        assert inspect(connection).get_table_names() == ["heartbeat"]


def test_what_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_text("dear diary " * 1000)
    database = Database(f"sqlite:///{tmp_path / 'store.db'}")

    with pytest.raises(
        StoreError, match=r"^the store cannot be used \(.*store.db\): file is not a database; it is damaged"
    ):
        database.migrate()
    database.close()
