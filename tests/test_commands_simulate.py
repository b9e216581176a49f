"""`simulate` plays scripted calls to a running bridge, which tell the stories that their names promise."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from bridge import ENDINGS
from bridge.testing import free_port

if TYPE_CHECKING:
    from tests.conftest import Office

ENDING = {
    "missed": "call.missed",
    "answered": "call.completed",
    "ring-group": "call.completed",
    "ring-group-missed": "call.missed",
    "queue-abandoned": "call.missed",
    "pickup": "call.completed",
    "outbound": "call.completed",
    "outbound-unanswered": "call.unanswered",
    "internal": "call.completed",
}


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callbridge_bulutsantralim.scenarios.PAUSE", 0)


def test_the_scenarios_are_listed_one_a_line(office: Office) -> None:
    listed = office.run("simulate", "--list").stdout.splitlines()
    assert listed == sorted({*ENDING, "morning"})


@pytest.mark.parametrize("name", ENDING)
def test_a_scenario_tells_one_call_of_now(office: Office, name: str) -> None:
    done = office.run("simulate", name, "--to", f"{office.bridge.url}{office.path}")
    assert done.exit_code == 0
    (call_id,) = {line.split()[1] for line in done.stdout.splitlines()}
    assert all(line.startswith(f"200 {call_id}  ") for line in done.stdout.splitlines())
    assert [one for one in office.types(call_id) if one in ENDINGS] == [ENDING[name]]
    (call,) = [call for call in office.rows("calls") if call["id"] == call_id]
    ended_at = datetime.fromisoformat(call["ended_at"])
    assert abs(datetime.now(ZoneInfo("Europe/Istanbul")) - ended_at) < timedelta(minutes=1)
    assert call["wait_seconds"] > 0
    if name == "ring-group":
        assert (call["rang"], call["connected_user"]) == (["1001", "1002", "1003"], "1002")
    if name == "queue-abandoned":
        assert (call["queue"], call["answered_at"], call["queue_wait_seconds"]) == ("200", None, 43)
    if name == "pickup":
        assert call["connected_user"] not in (None, call["rang"][0])


def test_a_scenario_played_again_is_another_call(office: Office) -> None:
    before = len(office.rows("calls", "--missed"))
    for _ in range(2):
        assert office.run("simulate", "missed", "--to", f"{office.bridge.url}{office.path}/").exit_code == 0
    assert len(office.rows("calls", "--missed")) == before + 2


def test_a_morning_ends_every_call_once(office: Office) -> None:
    before = {call["id"] for call in office.rows("calls")}
    assert office.run("simulate", "morning", "--to", f"{office.bridge.url}/event?token={office.token}").exit_code == 0
    calls = [call for call in office.rows("calls") if call["id"] not in before]
    assert len(calls) >= 20
    assert {call["state"] for call in calls} == {"missed", "completed", "unanswered"}
    endings = [event for event in office.rows("events") if event["type"] in ENDINGS]
    ended = [event["data"]["call"]["id"] for event in endings]
    assert all(ended.count(call["id"]) == 1 for call in calls)


@pytest.mark.parametrize(
    "words", [[], ["missed"], ["--to", "http://127.0.0.1/event"], ["nonsense", "--to", "http://x/"]]
)
def test_a_scenario_and_a_url_are_needed(office: Office, words: list[str]) -> None:
    done = office.run("simulate", *words)
    assert (done.exit_code, done.stdout) == (2, "")


def test_what_a_bridge_refuses_is_told(office: Office) -> None:
    done = office.run("simulate", "missed", "--to", f"{office.bridge.url}/event/wrong-token")
    assert done.exit_code == 1
    assert [line[:35] for line in done.stdout.splitlines()] == ["401 the token is missing or wrong  "] * 2
    assert done.stderr == "2 posts were refused\n"


def test_a_bridge_that_is_not_there_is_told_without_the_token(office: Office) -> None:
    done = office.run("simulate", "missed", "--to", f"http://127.0.0.1:{free_port()}/event/some-token")
    assert done.exit_code == 1
    assert done.stdout.startswith("--- no answer (ConnectionError)")
    assert "some-token" not in done.output
