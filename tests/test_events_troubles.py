"""The bridge's own troubles are events too: somebody is told, whoever asks for them, but not by the one in trouble."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from bridge.silence import SilenceWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Desk, Office

HOUR = 3600.0


@pytest.fixture
def told(troubled: Office) -> dict[str, Any]:
    """What somebody was told, by the connector it is about."""
    events = [arrival.json() for arrival in list(troubled.sink.arrivals) if arrival.path == "/told"]
    return {event["data"]["trouble"]["connector"]: event for event in events}


def test_a_connector_that_pauses_is_told_of_in_the_public_form(told: dict[str, Any]) -> None:
    event = told["refused"]
    reason = event["data"]["trouble"]["reason"]
    received_at = event["data"]["received_at"]
    assert event == {
        "id": event["id"],
        "type": "bridge.connector_paused",
        "timestamp": received_at,
        "data": {
            "source": "bridge",
            "tenant": None,
            "received_at": received_at,
            "call": None,
            "contact": None,
            "trouble": {"connector": "refused", "source": None, "reason": reason, "count": None},
        },
    }
    assert "401" in reason


def test_a_trouble_is_timed_like_the_calls_by_the_clock_of_the_pbx(told: dict[str, Any]) -> None:
    at = datetime.fromisoformat(told["refused"]["timestamp"])
    assert at.utcoffset() == at.astimezone(ZoneInfo("Europe/Istanbul")).utcoffset()


def test_dead_deliveries_are_told_of_with_their_count(told: dict[str, Any]) -> None:
    event = told["dying"]
    assert event["type"] == "bridge.delivery_dead"
    assert event["data"]["trouble"]["count"] == 1
    assert "400" in event["data"]["trouble"]["reason"]


def test_nobody_is_told_of_his_own_trouble_and_troubles_are_listed(troubled: Office, told: dict[str, Any]) -> None:
    listed = {event["id"]: event for event in troubled.rows("events") if event["type"].startswith("bridge.")}
    assert listed == {event["id"]: event for event in told.values()}
    owed = {(row["connector"], row["event_type"]) for row in troubled.rows("deliveries") if row["event_id"] in listed}
    assert owed == {
        ("dying", "bridge.connector_paused"),
        ("refused", "bridge.delivery_dead"),
        ("told", "bridge.connector_paused"),
        ("told", "bridge.delivery_dead"),
    }


# --- silence ------------------------------------------------------------------------------------------------------


def silent(desk: Desk) -> list[Any]:
    return [event["data"]["trouble"] for event in desk.events() if event["type"] == "bridge.source_silent"]


def test_a_source_that_goes_quiet_is_told_of_once_for_each_silence(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk('[connectors.told]\nkind = "webhook"\non = ["bridge.source_silent"]\nurl = "http://127.0.0.1:1/"')
    watch = SilenceWatch(desk.bridge.store, {"bulutsantralim": 2 * HOUR}, lambda: desk.now)
    form = {"event_type": "ringing", "call_uuid": "1"}

    desk.now += 2 * HOUR
    assert (watch.look(), silent(desk)) == (frozenset(), [])
    desk.now += 1
    assert watch.look() == frozenset({("told", "")})
    desk.now += 5 * HOUR
    watch.look()
    assert silent(desk) == [
        {
            "connector": None,
            "source": "bulutsantralim",
            "reason": "no event for 7200 s: is the URL entered in the PBX still right?",
            "count": None,
        }
    ]
    desk.post(form)
    desk.now += 2 * HOUR
    assert watch.look() == frozenset()
    desk.now += 1
    assert watch.look() == frozenset({("told", "")})
    assert len(silent(desk)) == 2


def test_silence_is_off_unless_it_is_set(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    watch = SilenceWatch(desk.bridge.store, {}, lambda: desk.now)
    desk.now += 10_000 * HOUR
    assert (watch.look(), silent(desk)) == (frozenset(), [])
