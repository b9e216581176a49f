"""The commands that change something: they work beside a running bridge and take effect within a second."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from bridge.testing import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Office

PROMISE = 1.0
"""Seconds within which a command takes effect."""
BUSY = 2.0
"""What a busy machine may add to it."""


@contextmanager
def answering(office: Office, path: str, answer: Answer) -> Iterator[None]:
    office.answers[path] = answer
    yield
    del office.answers[path]


@pytest.fixture
def dead(office: Office) -> str:
    """The id of a missed call whose delivery to the connector `fragile` is dead."""
    with answering(office, "/fragile", Answer(500, b"no")):
        call_id = office.tell(office.missed, queue="901")
        office.ended(call_id, "fragile", "dead")
    return call_id


def backdate(office: Office, call_id: str) -> None:
    """Make a call and its events a hundred days old."""
    key = f'%"{call_id}"]'
    with closing(sqlite3.connect(office.bridge.database)) as store, store:
        store.execute("UPDATE events SET received_at = received_at - 8640000 WHERE call_key LIKE ?", [key])
        for column in ("first_received_at", "last_received_at"):
            store.execute(f"UPDATE calls SET {column} = {column} - 8640000 WHERE key LIKE ?", [key])


# --- replay -------------------------------------------------------------------------------------------------------


def test_a_dead_delivery_is_replayed_by_its_id(office: Office, dead: str) -> None:
    row = office.delivery(dead, "fragile")
    assert (row["attempts"], row["next_attempt_at"], row["receipt"]) == (1, None, None)
    assert "500" in row["last_error"]
    done = office.run("replay", row["id"])
    assert (done.exit_code, done.stdout) == (0, "1 to be delivered again\n")
    first, second = office.arrivals(dead, 2, "/fragile", within=PROMISE + BUSY)
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == row["event_id"]
    again = office.ended(dead, "fragile", "delivered")
    assert (again["id"], again["attempts"], again["receipt"]) == (row["id"], 2, "HTTP 200")


def test_what_was_delivered_is_replayed_by_the_id_of_its_event_to_each_connector(office: Office) -> None:
    call_id = office.tell(office.missed, queue="900")
    event_id = office.ended(call_id, "night_desk", "delivered")["event_id"]
    office.ended(call_id, "everything", "delivered")
    assert office.run("replay", event_id).stdout == "2 to be delivered again\n"
    for path in ("/night", "/everything"):
        office.arrivals(call_id, 2, path, within=PROMISE + BUSY)
    assert office.ended(call_id, "night_desk", "delivered")["event_id"] == event_id


def test_all_dead_deliveries_of_a_connector_are_replayed(office: Office, dead: str) -> None:
    assert office.run("replay", "--dead", "--connector", "night_desk").stdout == "0 to be delivered again\n"
    office.run("replay", "--dead", "--connector", "fragile")
    office.arrivals(dead, 2, "/fragile", within=PROMISE + BUSY)
    office.ended(dead, "fragile", "delivered")


def test_all_dead_deliveries_are_replayed(office: Office, dead: str) -> None:
    assert office.run("replay", "--dead").exit_code == 0
    office.ended(dead, "fragile", "delivered")
    assert office.rows("deliveries", "--state", "dead") == []


def test_an_unknown_id_is_told_and_nothing_is_replayed(office: Office, dead: str) -> None:
    row = office.delivery(dead, "fragile")
    done = office.run("replay", row["id"], "dlv_nothing")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "there is no such delivery or event: dlv_nothing; nothing is replayed\n"
    assert office.delivery(dead, "fragile") == row
    office.run("replay", "--dead")


@pytest.mark.parametrize("words", [[], ["evt_1", "--dead"], ["--connector", "fragile"], ["evt_1", "--connector", "x"]])
def test_a_replay_of_nothing_in_particular_is_a_wrong_use(office: Office, words: list[str]) -> None:
    assert office.run("replay", *words).exit_code == 2


# --- pausing ------------------------------------------------------------------------------------------------------


def test_a_paused_connector_gets_nothing_until_it_is_resumed(office: Office) -> None:
    done = office.run("connectors", "pause", "night_desk")
    assert (done.exit_code, done.stdout) == (0, "night_desk is paused\n")
    time.sleep(PROMISE)
    call_id = office.tell(office.missed, queue="900")
    office.heard(call_id)
    waiting = office.delivery(call_id, "night_desk")
    assert (waiting["state"], waiting["attempts"], waiting["last_error"]) == ("pending", 0, None)
    row = next(row for row in office.rows("connectors") if row["name"] == "night_desk")
    assert (row["state"], row["error"], row["waiting"]) == ("paused", "paused by the operator", 1)
    assert office.bridge.get("/readyz").json()["paused"] == {"night_desk": "paused by the operator"}
    assert office.arrived(call_id, "/night") == []

    done = office.run("connectors", "resume", "night_desk")
    assert (done.exit_code, done.stdout) == (0, "night_desk is resumed\n")
    office.arrivals(call_id, 1, "/night", within=PROMISE + BUSY)
    assert office.ended(call_id, "night_desk", "delivered")["attempts"] == 1
    assert office.bridge.get("/readyz").json()["paused"] == {}


def test_a_connector_can_be_paused_whichever_command_the_config_follows(office: Office) -> None:
    config = ["--config", str(office.bridge.config)]
    for words in (["connectors", *config, "pause", "fragile"], ["connectors", "pause", "fragile", *config]):
        assert office.bare(*words).stdout == "fragile is paused\n"
        assert office.bridge.get("/readyz").json()["paused"] == {"fragile": "paused by the operator"}
        assert office.bare("connectors", *config, "resume", "fragile").exit_code == 0


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_connector_that_is_not_there_is_told(office: Office, command: str) -> None:
    done = office.run("connectors", command, "slack")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "there is no connector slack; there are: everything, fragile, night_desk\n"


# --- forgetting ---------------------------------------------------------------------------------------------------


def test_what_is_old_is_forgotten_but_what_still_waits(office: Office) -> None:
    old, waiting, new = (office.tell(office.missed, queue=queue) for queue in ("1", "900", "2"))
    office.ended(old, "everything", "delivered")
    event_id = office.ended(waiting, "night_desk", "delivered")["event_id"]
    office.run("connectors", "pause", "night_desk")
    office.run("replay", event_id)
    for call_id in (old, waiting):
        office.ended(call_id, "everything", "delivered")
        backdate(office, call_id)
    office.post(f"no_call={old}".encode())

    done = office.run("prune", "--older-than", "90d")
    assert done.exit_code == 0
    assert "1 events" in done.stdout
    assert [office.kept(call_id) == [] for call_id in (old, waiting, new)] == [True, False, False]
    assert {row["call_id"] for row in office.rows("deliveries")}.isdisjoint({old})
    calls = {call["id"] for call in office.rows("calls")}
    assert (old in calls, waiting in calls, new in calls) == (False, True, True)
    assert office.rows("quarantine", "--limit", "1")[0]["raw"] == {"no_call": old}

    office.run("connectors", "resume", "night_desk")
    office.ended(waiting, "night_desk", "delivered")
    assert office.run("prune", "--older-than", "90d").exit_code == 0
    assert office.kept(waiting) == []


@pytest.mark.parametrize("words", [[], ["--older-than", "soon"], ["--older-than", "-1d"]])
def test_forgetting_asks_for_an_age(office: Office, words: list[str]) -> None:
    assert office.run("prune", *words).exit_code == 2
