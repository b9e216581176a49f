"""The commands that show what is kept, beside a running bridge: their rows for programs and their tables for people."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from bridge.cli import main
from bridge.tables import print_table
from bridge.testing import BridgeProcess

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Office

CALL_KEYS = (
    "id direction state caller called outside_number dialed_user connected_user rang queue started_at answered_at "
    "ended_at talk_seconds wait_seconds queue_wait_seconds hung_up_by cause cause_text recording_present "
    "failure_status failure_phrase"
)
DELIVERY_KEYS = "id event_id event_type call_id connector state attempts next_attempt_at last_error receipt target"
LISTINGS = ["events", "calls", "deliveries", "quarantine", "plugins", "connectors"]


def test_events_are_the_public_form(office: Office) -> None:
    call_id = office.tell(office.missed)
    (event,) = office.heard(call_id)
    assert office.rows("events", "--limit", "1") == [event]
    assert [list(event), list(event["data"])] == [
        ["id", "type", "timestamp", "data"],
        ["source", "tenant", "received_at", "call", "contact", "raw"],
    ]


def test_calls_are_the_calls_as_they_stand(office: Office) -> None:
    call_id = office.tell(office.call, event_type="ringing")
    office.tell(office.missed, call_uuid=call_id)
    (call,) = office.rows("calls", "--limit", "1")
    assert list(call) == CALL_KEYS.split()
    assert call == office.heard(call_id, 2)[-1]["data"]["call"]


def test_calls_can_be_only_the_missed_ones(office: Office) -> None:
    office.tell(office.missed)
    office.tell(office.missed, connected_user="1001")
    assert {call["state"] for call in office.rows("calls", "--missed")} == {"missed"}
    assert "completed" in {call["state"] for call in office.rows("calls")}


def test_calls_can_be_those_of_a_while_by_the_time_received(office: Office) -> None:
    new, old = office.tell(office.missed), office.tell(office.missed)
    with closing(sqlite3.connect(office.bridge.database)) as store, store:
        store.execute("UPDATE calls SET last_received_at = last_received_at - 7200 WHERE call_id = ?", [old])
    last_hour = {call["id"] for call in office.rows("calls", "--since", "1h")}
    assert new in last_hour, "the stamps of the call, which are of 2016, do not count"
    assert old not in last_hour
    assert old in {call["id"] for call in office.rows("calls", "--since", "24h", "--missed")}
    assert old in {call["id"] for call in office.rows("calls")}


def test_deliveries_say_what_became_of_them(office: Office) -> None:
    call_id = office.tell(office.missed)
    row = office.ended(call_id, "everything", "delivered")
    (event,) = office.kept(call_id)
    assert list(row) == DELIVERY_KEYS.split()
    assert row == {
        "id": row["id"],
        "event_id": event["id"],
        "event_type": "call.missed",
        "call_id": call_id,
        "connector": "everything",
        "state": "delivered",
        "attempts": 1,
        "next_attempt_at": None,
        "last_error": None,
        "receipt": "HTTP 200",
        "target": None,
    }


def test_deliveries_can_be_those_of_a_state_and_of_a_connector(office: Office) -> None:
    office.ended(office.tell(office.missed, queue="900"), "night_desk", "delivered")
    of_night = office.rows("deliveries", "--connector", "night_desk", "--state", "delivered")
    assert {(row["connector"], row["state"]) for row in of_night} == {("night_desk", "delivered")}
    assert office.rows("deliveries", "--connector", "night_desk", "--state", "expired") == []
    assert office.run("deliveries", "--state", "lost").exit_code == 2


def test_the_quarantine_says_when_why_and_what(office: Office) -> None:
    office.post(b"event_type=ringing&a=1&a=2")
    (row,) = office.rows("quarantine", "--limit", "1")
    assert list(row) == ["received_at", "reason", "raw"]
    assert row["reason"] == "call_uuid is missing"
    assert row["raw"] == {"event_type": "ringing", "a": ["1", "2"]}
    assert datetime.fromisoformat(row["received_at"]).tzinfo is not None


def test_plugins_are_listed_imported_or_not(office: Office) -> None:
    rows = {row["name"]: row for row in office.rows("plugins")}
    assert [list(row) for row in rows.values()] == [
        ["name", "role", "distribution", "version", "state", "error"]
    ] * len(rows)
    assert rows["webhook"] == {
        "name": "webhook",
        "role": "connector",
        "distribution": "callbridge-webhook",
        "version": "0.1.0",
        "state": "loaded",
        "error": None,
    }
    assert (rows["bulutsantralim"]["role"], rows["bulutsantralim"]["state"]) == ("source", "loaded")
    assert (rows["slack"]["role"], rows["slack"]["state"]) == (None, "installed")


def test_connectors_say_how_they_do(office: Office) -> None:
    call_id = office.tell(office.missed, queue="900")
    office.ended(call_id, "night_desk", "delivered")
    row = next(row for row in office.rows("connectors") if row["name"] == "night_desk")
    assert list(row) == ["name", "kind", "state", "error", "waiting", "dead", "last_success"]
    assert datetime.fromisoformat(row.pop("last_success")).tzinfo is not None
    assert row == {
        "name": "night_desk", "kind": "webhook", "state": "active", "error": None, "waiting": 0, "dead": 0,
    }  # fmt: skip


def test_all_rows_are_printed_for_programs_and_the_last_ones_for_people(office: Office) -> None:
    before = len(office.rows("events"))
    ids = [office.tell(office.call, event_type="ringing") for _ in range(60)]
    assert len(office.rows("events")) == before + 60
    assert [row["data"]["call"]["id"] for row in office.rows("events", "--limit", "3")] == ids[-3:]
    assert len(office.run("events").stdout.splitlines()) == 51
    assert len(office.run("events", "--limit", "2").stdout.splitlines()) == 3
    assert office.run("events", "--limit", "0").exit_code == 2


def test_people_get_a_table_without_what_a_caller_could_do_to_their_terminal(office: Office) -> None:
    office.tell(office.missed, caller_id_number="\x1b[31m[bold]red")
    table = office.run("calls", "--limit", "1").stdout
    assert table.splitlines()[0].split()[:3] == ["started", "at", "direction"]
    assert "�[31m[bold]red" in table
    assert "\x1b" not in table


def test_a_text_of_several_lines_is_one_in_a_table() -> None:
    out = io.StringIO()
    print_table([{"note": "Ring back\nafter\tsix"}], ["note"], out, "nothing")
    assert out.getvalue().split("\n")[1].rstrip() == "Ring back after six"


@pytest.mark.parametrize("command", LISTINGS)
def test_a_fresh_store_lists_nothing(tmp_path: Path, command: str) -> None:
    config = ["--config", str(BridgeProcess(tmp_path, "").config)]
    for arguments in ([command, *config], [command, "--json", *config]):
        done = CliRunner().invoke(main, arguments)
        assert (done.exit_code, done.stderr) == (0, "")
    if command != "plugins":
        assert done.stdout == ""


@pytest.mark.parametrize("command", [*LISTINGS, "prune --older-than 1d", "replay --dead"])
def test_a_store_that_cannot_be_used_is_told_in_a_line(tmp_path: Path, command: str) -> None:
    config = BridgeProcess(tmp_path, "").config
    (tmp_path / "callbridge.db").write_text("this is no database, however long one looks at it")
    done = CliRunner().invoke(main, [*command.split(), "--config", str(config)])
    assert done.exit_code == 1
    assert done.stderr.startswith(f"the store cannot be used ({tmp_path / 'callbridge.db'}): file is not a database; ")
    assert "callbridge restore FILE" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", [*LISTINGS, "check", "serve", "replay --dead", "prune --older-than 1d"])
def test_a_config_that_cannot_be_used_is_told_and_exits_1(tmp_path: Path, command: str) -> None:
    config = BridgeProcess(tmp_path, 'colour = "red"').config
    done = CliRunner().invoke(main, [*command.split(), "--config", str(config)])
    assert done.exit_code == 1
    assert (done.stdout if command == "check" else done.stderr).startswith("colour: unknown key; the keys here are ")


def test_the_config_can_be_named_by_a_variable(office: Office) -> None:
    done = CliRunner(env={"CALLBRIDGE_CONFIG": str(office.bridge.config)}).invoke(main, ["connectors", "--json"])
    assert [json.loads(line)["name"] for line in done.stdout.splitlines()] == ["everything", "night_desk", "fragile"]


def test_plugins_are_listed_though_a_source_is_broken(tmp_path: Path) -> None:
    config = BridgeProcess(tmp_path, '[sources.pbx]\nkind = "nonesuch"').config
    done = CliRunner().invoke(main, ["plugins", "--json", "--config", str(config)])
    assert (done.exit_code, done.stderr) == (0, "")
    assert {"bulutsantralim", "slack", "webhook"} <= {json.loads(line)["name"] for line in done.stdout.splitlines()}


def test_a_command_beside_the_bridge_is_a_program_of_its_own(office: Office) -> None:
    call_id = office.tell(office.missed)
    assert json.loads(office.bridge.run("calls", "--limit", "1", "--json").stdout)["id"] == call_id
