"""What is kept of people: not for ever, shown to them, erased for them, and to some connectors only in part."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Column, MetaData, Table, Text, create_engine, insert

from bridge.cli import main
from bridge.retention import EVERY, Retention
from bridge.store import schema
from bridge.store.people import erase, export, find_traces
from bridge.testing import Answer, RecordingSink, eventually, recording_sink
from tests.conftest import MISSED

if TYPE_CHECKING:
    from tests.conftest import Desk

DAY = 86400.0
AYSE = "+905321234567"
SPELLINGS = ["05321234567", "+90 532 123 45 67", "0532 123 4567", "905321234567"]
NEEDLES = [b"5321234567", b"532 123 45 67", b"532 123 4567"]

HOOK = """
[privacy]
{privacy}
[connectors.crm]
kind = "webhook"
on = ["call.*"]
url = "{url}/crm"
retry = {{schedule = []}}
[connectors.chat]
kind = "webhook"
on = ["call.*"]
url = "{url}/chat"
"""


@pytest.fixture
def sink() -> Iterator[RecordingSink]:
    with recording_sink() as sink:
        yield sink


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., Result]:
    """A command with the config of the desk."""
    return lambda *words: CliRunner().invoke(main, [*words, "--config", str(tmp_path / "desk.toml")])


def count(folder: Path, table: str) -> int:
    with closing(sqlite3.connect(folder / "desk.db")) as store:
        (rows,) = store.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(rows)


def counts(folder: Path) -> dict[str, int]:
    return {name: count(folder, name) for name in ("events", "calls", "deliveries", "attempts", "quarantine")}


def settled(desk: Desk, waiting: int = 0) -> None:
    eventually(lambda: [row["state"] for row in desk.deliveries()].count("pending") == waiting, "the deliveries")


# --- retention ----------------------------------------------------------------------------------------------------


def retention(desk: Desk, passed: list[float]) -> Retention:
    return Retention(desk.bridge.store, 90 * DAY, lambda: desk.now, lambda: passed[0])


def test_what_is_older_than_the_retention_is_forgotten_by_itself(
    open_desk: Callable[..., Desk], sink: RecordingSink, tmp_path: Path
) -> None:
    desk = open_desk(HOOK.format(privacy="", url=sink.url))
    for number in range(3):
        desk.post({**MISSED, "call_uuid": f"old-{number}"})
    desk.post(b"no_call=1")
    settled(desk)
    desk.now += 80 * DAY
    desk.post({**MISSED, "call_uuid": "new"})
    settled(desk)
    passed = [0.0]
    task = retention(desk, passed)

    task.look()
    assert counts(tmp_path) == {"events": 4, "calls": 4, "deliveries": 8, "attempts": 8, "quarantine": 1}
    desk.now += 11 * DAY
    task.look()
    assert count(tmp_path, "events") == 4  # it has just looked
    passed[0] += EVERY
    task.look()
    assert counts(tmp_path) == {"events": 1, "calls": 1, "deliveries": 2, "attempts": 2, "quarantine": 0}


def test_the_running_bridge_forgets_without_being_told(open_desk: Callable[..., Desk], tmp_path: Path) -> None:
    desk = open_desk('[privacy]\nretention = "30d"')
    desk.post({**MISSED, "call_uuid": "old"})
    desk.bridge.drain(1.0)
    desk.bridge.close()
    with closing(sqlite3.connect(tmp_path / "desk.db")) as store, store:
        store.execute("UPDATE events SET received_at = received_at - ?", [31 * DAY])
        store.execute("UPDATE calls SET first_received_at = first_received_at - ?", [31 * DAY])
        store.execute("UPDATE calls SET last_received_at = last_received_at - ?", [31 * DAY])
    open_desk('[privacy]\nretention = "30d"')
    eventually(lambda: count(tmp_path, "calls") == 0, "the forgetting")


def test_what_waits_is_not_forgotten_however_old(
    open_desk: Callable[..., Desk], sink: RecordingSink, tmp_path: Path
) -> None:
    desk = open_desk(HOOK.format(privacy="", url=sink.url) + 'max_age = "1000d"\n')
    sink.answer_with(lambda arrival: Answer(503 if arrival.path == "/chat" else 200))
    desk.post({**MISSED, "call_uuid": "1"})
    settled(desk, waiting=1)
    eventually(lambda: count(tmp_path, "attempts") == 2, "both tries")
    desk.now += 365 * DAY
    retention(desk, [0.0]).look()
    assert counts(tmp_path) == {"events": 1, "calls": 1, "deliveries": 2, "attempts": 2, "quarantine": 0}


def test_much_is_forgotten_a_little_at_a_time(
    open_desk: Callable[..., Desk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = open_desk("")
    for number in range(7):
        desk.post({**MISSED, "call_uuid": str(number)})
    desk.now += 91 * DAY
    monkeypatch.setattr("bridge.retention.BATCH", 2)
    batches: list[int] = []
    prune = desk.bridge.store.prune

    def noted(before: float, limit: int) -> int:
        batches.append(prune(before, limit))
        return batches[-1]

    monkeypatch.setattr(desk.bridge.store, "prune", noted)
    retention(desk, [0.0]).look()
    assert count(tmp_path, "events") == count(tmp_path, "calls") == 0
    assert max(batches) <= 4
    assert len(batches) >= 5


# --- masking ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("privacy", "masked"),
    [("", set()), ('mask_numbers = ["chat"]', {"/chat"}), ("mask_numbers = true", {"/chat", "/crm"})],
)
def test_the_chosen_connectors_see_no_whole_number(
    open_desk: Callable[..., Desk], sink: RecordingSink, privacy: str, masked: set[str]
) -> None:
    desk = open_desk(HOOK.format(privacy=privacy, url=sink.url))
    desk.post({**MISSED, "call_uuid": "1", "caller_id_number": "05321234567"})
    for arrival in sink.wait_for(2):
        caller = arrival.json()["data"]["call"]["caller"]
        whole = {"raw": "05321234567", "e164": AYSE, "display": "0532 123 45 67", "kind": "external"}
        part = {"raw": "0532*****67", "e164": None, "display": "0532 *** ** 67", "kind": "external"}
        assert caller == (part if arrival.path in masked else whole)
        assert (b"1234567" in arrival.body) == (arrival.path not in masked)
    assert desk.events()[0]["data"]["call"]["caller"]["e164"] == AYSE


def test_a_connector_that_is_not_there_cannot_be_masked(tmp_path: Path) -> None:
    (tmp_path / "desk.toml").write_text('privacy.mask_numbers = ["chta"]')
    done = CliRunner().invoke(main, ["check", "--config", str(tmp_path / "desk.toml")])
    assert (done.exit_code, done.stdout) == (1, "privacy.mask_numbers: there is no connector chta\n")


# --- forgetting and showing a person ------------------------------------------------------------------------------


@pytest.fixture
def known(open_desk: Callable[..., Desk], sink: RecordingSink) -> Desk:
    """A bridge that has four calls of Ayşe's, spelled in four ways, one of somebody else, and much that speaks of
    her."""
    desk = open_desk(HOOK.format(privacy="", url=sink.url))
    sink.answer_with(lambda arrival: Answer(400, b"no customer 0532 123 45 67") if arrival.path == "/crm" else Answer())
    for number, spelling in enumerate(SPELLINGS):
        desk.post({**MISSED, "call_uuid": f"ayse-{number}", "caller_id_number": spelling})
        desk.post({**MISSED, "event_type": "ringing", "call_uuid": f"ayse-{number}", "caller_id_number": ""})
    desk.post({**MISSED, "call_uuid": "transferred", "caller_id_number": "02123205062", "to": "0532-123-45-67"})
    desk.post({**MISSED, "call_uuid": "other"})
    for body in (b"caller=%2B90+532+123+45+67", b"caller=0532%C2%A0123+45+67", b"caller=02123205062"):
        desk.post(body)
    settled(desk)
    return desk


def bytes_of(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.glob("desk.db*"))


def test_a_person_is_erased_everywhere_and_it_is_said_what(
    known: Desk, command: Callable[..., Result], tmp_path: Path, sink: RecordingSink
) -> None:
    assert any(needle in bytes_of(tmp_path) for needle in NEEDLES)
    done = command("forget", "0532 123 45 67")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(f"{AYSE}: 5 calls, 9 events, ")
    assert "2 quarantine" in done.stdout
    assert "delivered to chat: what they keep has to be erased there" in done.stdout

    content = bytes_of(tmp_path)
    assert [needle for needle in NEEDLES if needle in content] == []
    assert [event["data"]["call"]["id"] for event in known.events() if event["data"]["call"]] == ["other"]
    assert [row["raw"] for row in known.quarantine()] == [{"caller": "02123205062"}]
    with closing(sqlite3.connect(tmp_path / "desk.db")) as store:
        text = "\n".join(store.iterdump())
    assert "123 45 67" not in text
    assert "***" in text  # what the destination has said of her, of the call of somebody else

    assert command("forget", AYSE).stdout == f"{AYSE}: nothing is kept of this number\n"
    assert known.post({**MISSED, "call_uuid": "ayse-0", "caller_id_number": AYSE}).status_code == 200


def test_a_person_is_erased_while_something_waits_for_delivery(
    open_desk: Callable[..., Desk], sink: RecordingSink, command: Callable[..., Result], tmp_path: Path
) -> None:
    desk = open_desk(HOOK.format(privacy="", url=sink.url))
    sink.answer_with(Answer(503))
    desk.post({**MISSED, "call_uuid": "1", "caller_id_number": AYSE})
    settled(desk, waiting=1)
    assert command("forget", AYSE).exit_code == 0
    assert (count(tmp_path, "calls"), count(tmp_path, "deliveries"), count(tmp_path, "attempts")) == (0, 0, 0)
    sink.answer_with(Answer())
    desk.post({**MISSED, "call_uuid": "2"})
    settled(desk)


def test_what_is_kept_of_a_person_is_shown(known: Desk, command: Callable[..., Result]) -> None:
    done = command("export", AYSE)
    assert done.exit_code == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [row["kind"] for row in rows]
    assert {kind: kinds.count(kind) for kind in ("calls", "events", "quarantine")} == {
        "calls": 5,
        "events": 9,
        "quarantine": 2,
    }
    assert {row["call_id"] for row in rows if row["kind"] == "calls"} == {
        *(f"ayse-{number}" for number in range(4)),
        "transferred",
    }
    callers = [row["payload"]["data"]["call"]["caller"]["e164"] for row in rows if row["kind"] == "events"]
    assert (callers.count(AYSE), callers.count("+902123205062")) == (8, 1)
    deliveries = {row["id"]: row["call_id"] for row in rows if row["kind"] == "deliveries"}
    (mention,) = [row for row in rows if row["kind"] == "attempts" and row["delivery_id"] not in deliveries]
    assert mention["answer"] == "no customer 0532 123 45 67"
    assert command("export", "+905550000000").stdout == ""


@pytest.mark.parametrize("name", ["forget", "export"])
@pytest.mark.parametrize("number", ["1001", "nobody", "*100"])
def test_a_person_is_known_by_an_outside_number(
    open_desk: Callable[..., Desk], command: Callable[..., Result], name: str, number: str
) -> None:
    open_desk("")
    done = command(name, number)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f"{number} is no outside number: write one such as +902123205062\n"


def test_a_table_that_is_added_later_is_looked_through_too(monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = MetaData()
    for table in schema.metadata.sorted_tables:
        table.to_metadata(metadata)
    Table("later", schema.metadata, Column("id", Text, primary_key=True), Column("data", Text))
    added = schema.metadata.tables["later"]
    engine = create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            schema.metadata.create_all(connection)
            rows: list[dict[str, Any]] = [
                {"id": "1", "data": '{"who": "0532 123 45 67"}'},
                {"id": "2", "data": '{"who": "0532\\u00a0123 45 67"}'},
                {"id": "3", "data": None},
                {"id": "4", "data": '{"who": "0533 123 45 67"}'},
            ]
            connection.execute(insert(added), rows)
            traces = find_traces(connection, AYSE)
            assert [row["id"] for row in export(connection, traces)] == ["1", "2"]
            assert erase(connection, traces)["later"] == 2
            assert [row.id for row in connection.execute(added.select())] == ["3", "4"]
    finally:
        schema.metadata.remove(added)
        engine.dispose()
