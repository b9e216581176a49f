"""A bridge on PostgreSQL: a server that is not there, goes away and comes back; a password that nobody sees."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from click.testing import CliRunner
from sqlalchemy import Connection, inspect, text

from bridge.app import Bridge
from bridge.cli import main
from bridge.errors import StoreError
from bridge.redaction import Redactor
from bridge.settings import Settings
from bridge.store import Database
from bridge.store.claiming import _what_is_due
from bridge.store.dialects import ANYTHING, listener
from bridge.store.feeds import Beside, Feeds, StoreHistory
from bridge.store.schema import metadata
from bridge.store.writer import Writer
from bridge.testing import BridgeProcess, eventually, free_port, recording_sink, running_bridge
from tests.conftest import CALL, MISSED, Office
from tests.plugins_for_tests.cluster import PASSWORD, SPELLED, Cluster, Tenant
from tests.plugins_for_tests.install import install


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[Database]:
    """A database nobody has migrated yet."""
    one = Database(cluster.new_database(empty=True))
    yield one
    one.close()


def webhook(url: str) -> str:
    return (
        f'[log]\nlevel = "debug"\n[connectors.chat]\nkind = "webhook"\non = ["*"]\nurl = "{url}"\n'
        'retry = {schedule = ["0.2s", "0.2s", "0.2s"]}\nbreaker = {failures = 0}\n'
    )


def post(bridge: BridgeProcess, call_id: str) -> int:
    return bridge.post("/event", MISSED | {"call_uuid": call_id}).status_code


# --- the schema ---------------------------------------------------------------------------------------------------


def test_the_migrations_lead_to_the_schema_of_the_code(empty: Database) -> None:
    empty.migrate_apart()
    with empty.reader.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_several_may_migrate_at_once(cluster: Cluster) -> None:
    url = cluster.new_database(empty=True)
    databases = [Database(url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Database.migrate, databases))
    with databases[0].reader.connect() as connection:
        assert inspect(connection).has_table("deliveries")
    for one in databases:
        one.close()


def test_a_migration_waits_for_another_one_however_long_that_takes(empty: Database) -> None:
    other = Database(empty.url.render_as_string(hide_password=False))
    with ThreadPoolExecutor(1) as pool:
        with other.writer.begin() as connection:
            other.dialect.lock_migrations(connection)
            migrating = pool.submit(empty.migrate)
            eventually(lambda: waits_for_lock(connection), "the wait")
        migrating.result(20)
    other.close()


def waits_for_lock(connection: Connection) -> bool:
    return bool(connection.execute(text("SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory'")).all())


# --- not there ----------------------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_is_said_in_a_line_without_the_password(tmp_path: Path) -> None:
    port = free_port()
    store = f"postgresql+psycopg://bridge:{SPELLED}@127.0.0.1:{port}/calls"
    settings = Settings(store={"url": store})
    config = tmp_path / "bridge.toml"
    config.write_text(f'store.url = "{store}"', "utf-8")
    with pytest.raises(StoreError) as caught:
        Bridge(settings, Redactor()).start()
    done = CliRunner().invoke(main, ["migrate", "--config", str(config)])
    assert done.exit_code == 1
    for said in (str(caught.value), done.stderr):
        (line,) = said.splitlines()
        assert line.startswith(f"the store cannot be used (127.0.0.1:{port}/calls): ")
        assert "Connection refused" in line
        assert PASSWORD not in line
        assert SPELLED not in line


def test_a_wrong_password_is_said_without_showing_it(cluster: Cluster) -> None:
    wrong = Database(cluster.url("postgres").replace(SPELLED, "not-the-password"))
    with pytest.raises(StoreError, match="password authentication failed") as caught:
        wrong.migrate()
    wrong.close()
    assert "not-the-password" not in str(caught.value)


@pytest.fixture
def tenant(cluster: Cluster) -> Tenant:
    """A user who owns one database and nothing else."""
    return Tenant(cluster)


def test_a_database_that_cannot_keep_every_name_is_refused(cluster: Cluster) -> None:
    cluster.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    database = Database(cluster.url("latin"))
    with pytest.raises(StoreError, match="its encoding is LATIN1: make one with ENCODING 'UTF8'"):
        database.refuse_damaged()
    database.close()


def test_whatever_the_server_does_posts_are_refused_meanwhile_and_all_goes_on_by_itself_afterwards(
    cluster: Cluster, tenant: Tenant, tmp_path: Path
) -> None:
    with recording_sink() as sink, running_bridge(tmp_path, webhook(sink.url), store=tenant.url) as bridge:
        assert post(bridge, "before") == 200

        cluster.stop()
        assert post(bridge, "stopped") == 503
        ready = bridge.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "unready")
        assert f"(127.0.0.1:{cluster.port}/{tenant.database})" in ready.json()["reasons"][0]
        cluster.start()
        assert post(bridge, "started") == 200  # the very first one: a connection that was cut is no reason to refuse
        assert bridge.get("/readyz").status_code == 200

        tenant.may_connect(0)
        assert post(bridge, "out of connections") == 503
        assert "too many connections" in bridge.get("/readyz").json()["reasons"][0]
        tenant.may_connect(-1)
        assert post(bridge, "connected") == 200
        assert bridge.get("/readyz").status_code == 200

        tenant.may_connect(-1)
        assert post(bridge, "cut and not noticed") == 200
        sink.wait_for(4)
        kept = {arrival.json()["data"]["call"]["id"] for arrival in sink.arrivals}
        assert kept == {"before", "started", "connected", "cut and not noticed"}
        said = bridge.log.read_text()
        assert PASSWORD not in said
        assert SPELLED not in said


# --- what people do -----------------------------------------------------------------------------------------------


def held_back(office: Office) -> str | None:
    """A new call of somebody else's, if the chat is not even tried for it."""
    call_id = office.tell(MISSED, caller_id_number="02125550000", dialed_user="1002")
    return call_id if office.delivery(call_id, "chat")["next_attempt_at"] else None


def test_whatever_people_do_works_on_postgresql(cluster: Cluster, tmp_path: Path) -> None:
    install(tmp_path, "board", (Path(__file__).parent / "plugins_for_tests" / "board.py").read_text("utf-8"))
    url = cluster.new_database()
    with recording_sink() as sink:
        config = webhook(f"{sink.url}/everything") + '[connectors.wall]\nkind = "board"\non = ["call.missed"]\n'
        with running_bridge(tmp_path, config, store=url, environ={"PYTHONPATH": str(tmp_path)}) as bridge:
            office = Office(bridge, sink)
            office.path = "/event"

            first = office.tell(CALL | {"event_type": "ringing"})
            office.tell(MISSED, call_uuid=first)
            assert [event["type"] for event in office.heard(first, 2)] == ["call.ringing", "call.missed"]
            assert [row["state"] for row in office.rows("calls")] == ["missed"]
            assert {row["outcome"] for row in office.rows("attempts", "--limit", "2")} == {"delivered"}

            # A newer callbridge has added to the tables, and this one goes on.
            for table in ("calls", "events", "deliveries", "attempts", "connectors"):
                cluster.execute(f"ALTER TABLE {table} ADD COLUMN later text", url.rpartition("/")[2])

            office.run("connectors", "pause", "chat")
            assert bridge.get("/readyz").json()["paused"] == {"chat": "paused by the operator"}
            held = eventually(lambda: held_back(office), "a delivery that waits for the resume")
            office.run("connectors", "resume", "chat")
            office.heard(held)

            second = office.tell(MISSED)
            office.heard(second)
            (event,) = office.kept(second)
            assert office.run("replay", event["id"]).stdout == "2 to be delivered again\n"
            office.heard(second, 2)
            office.ended(second, "chat", "delivered")
            office.ended(second, "wall", "delivered")

            assert bridge.post("/event", {"event_type": "ringing"}).status_code == 400
            assert len(office.rows("quarantine")) == 1

            beside = Beside(url)
            shown = Feeds(beside).of("wall").read(["desk 1001"])
            assert [(item.data["call"], item.data["before"]) for item in shown] == [
                (first, []),
                (second, [first]),
                (second, [first]),
            ]
            assert [call.id for call in StoreHistory(beside).calls("+902123205062")] == [second, first]
            beside.close()

            done = office.run("backup", str(tmp_path / "backup"))
            assert (done.exit_code, "pg_dump" in done.stderr) == (1, True)

            kinds = [json.loads(line)["kind"] for line in office.run("export", "+902123205062").stdout.splitlines()]
            assert set(kinds) == {"calls", "events", "deliveries", "attempts"}
            assert "2 calls" in office.run("forget", "+902123205062").stdout
            assert {call["caller"]["e164"] for call in office.rows("calls")} == {"+902125550000"}

            for name in ("chat", "wall"):
                office.ended(held, name, "delivered")
            assert "1 quarantine" in office.run("prune", "--older-than", "0s").stdout
            assert office.rows("calls") == []


# --- the planner --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", ["nothing", "no backlog", "all"])
def test_a_claim_looks_at_a_few_rows_whatever_the_server_knows_of_a_backlog(cluster: Cluster, known: str) -> None:
    database = Database(cluster.new_database())
    name = str(database.url.database)
    cluster.execute(
        "INSERT INTO events SELECT 'e' || n, 't', 's', 'c' || n / 3, n, '{}' FROM generate_series(1, 3000) AS n; "
        "INSERT INTO deliveries (id, event_id, event_type, call_key, call_id, position, connector, target, state, "
        "attempts, step, due_at, fresh_from) SELECT 'd' || n, 'e' || n, 't', 'c' || n / 3, 'c', n % 3, 'chat', '', "
        "'pending', 0, 0, n, n FROM generate_series(1, 3000) AS n",
        name,
    )
    if known == "no backlog":
        cluster.execute("UPDATE deliveries SET state = 'delivered', finished_at = 1", name)
        cluster.execute("VACUUM ANALYZE", name)
        cluster.execute("UPDATE deliveries SET state = 'pending', finished_at = NULL", name)
    if known == "all":
        cluster.execute("ANALYZE", name)
    with database.writer.connect() as connection:
        query = _what_is_due(database.dialect).compile(connection.engine)
        parameters = query.construct_params({"connector": "chat", "target": "", "now": 1e9, "limit": 8})
        cursor = connection.connection.cursor()
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", parameters)
        (((plan,),),) = cursor.fetchall()
        assert max(scanned(plan["Plan"])) < 100
    database.close()


def scanned(plan: dict[str, Any]) -> Iterator[float]:
    """How many rows each step of a plan has gone through."""
    removed = sum(count for name, count in plan.items() if name.startswith("Rows Removed"))
    yield (plan["Actual Rows"] + removed) * plan["Actual Loops"]
    for step in plan.get("Plans", ()):
        yield from scanned(step)


# --- the writer ---------------------------------------------------------------------------------------------------


def test_of_two_transactions_that_wait_for_each_other_both_are_done(cluster: Cluster) -> None:
    url = cluster.new_database()
    databases = [Database(url), Database(url)]
    with databases[0].writer.begin() as connection:
        connection.execute(text("INSERT INTO heartbeat VALUES ('a', 0), ('b', 0)"))
    met = threading.Barrier(2)
    tries: list[str] = []

    def beat(connection: Connection, orders: Sequence[str]) -> Sequence[str]:
        for name in orders[0]:
            connection.execute(text("UPDATE heartbeat SET beat_at = beat_at + 1 WHERE name = :name"), {"name": name})
            if len(tries) < 2:
                tries.append(name)
                met.wait(10)
        return orders

    writers = [Writer(one) for one in databases]
    for writer in writers:
        writer.start(lambda: None)
        writer.call(lambda _connection, items: items, None)  # it is connected by now
    jobs = [writer.submit(beat, order) for writer, order in zip(writers, ("ab", "ba"), strict=True)]
    assert [job.result(20) for job in jobs] == ["ab", "ba"]
    with databases[0].reader.connect() as connection:
        assert connection.execute(text("SELECT sum(beat_at) FROM heartbeat")).scalar() == 4
    for writer, database in zip(writers, databases, strict=True):
        writer.stop()
        database.close()


def test_a_commit_is_synced_to_disk_whatever_the_server_is_told(cluster: Cluster) -> None:
    url = cluster.new_database()
    cluster.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = off")
    database = Database(url)
    for engine in (database.writer, database.reader):
        with engine.connect() as connection:
            assert connection.execute(text("SHOW synchronous_commit")).scalar() == "on"
    database.close()


# --- the listener -------------------------------------------------------------------------------------------------


def test_a_listener_that_was_cut_off_says_that_anything_may_have_happened_and_hears_and_leads_again(
    cluster: Cluster, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "LOOK_SECONDS", 0.2)
    database = Database(cluster.new_database())
    heard: list[tuple[str, str]] = []
    watch = database.watch(lambda kind, name: heard.append((kind, name)))
    watch.start()
    eventually(watch.leads)
    assert heard == [(ANYTHING, "")]
    with caplog.at_level(logging.WARNING, "callbridge.store"):
        cluster.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%1%' AND pid <> pg_backend_pid()"
        )
        eventually(lambda: len(heard) == 2, "the news after the cut")
    assert caplog.text.count("not heard") == 1
    eventually(watch.leads)
    with database.writer.begin() as connection:
        database.dialect.announce(connection, "due", ["chat"])
    eventually(lambda: heard[-1] == ("due", "chat"))
    watch.stop()
    database.close()
