"""Replaying: the schedule and `max_age` start anew, the event id and the history stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import PermanentFailure, TemporaryFailure
from bridge.health import Health
from bridge.model import Receipt, Skip
from tests.plugins_for_tests.rig import Chat, Gate, connector, rig

DOWN = TemporaryFailure("down")
REFUSED = PermanentFailure("HTTP 422", status=422)


@pytest.mark.parametrize(
    ("answer", "state"),
    [(Receipt(text="1"), "delivered"), (REFUSED, "dead"), (Skip("no"), "skipped"), (DOWN, "pending")],
)
def test_a_delivery_can_be_replayed_from_any_state(tmp_path: Path, answer: object, state: str) -> None:
    chat = Chat(answer, Receipt(text="2"))
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.miss()
        bridge.settle()
        (before,) = bridge.rows()
        assert before["state"] == state
        bridge.replay(before["id"])
        bridge.settle()

        (after,) = bridge.rows()
        assert (after["state"], after["receipt"], after["attempts"]) == ("delivered", "2", 2)
        assert after["event_id"] == before["event_id"]
        assert {one.event.id for one in chat.got} == {before["event_id"]}
        assert [one.attempt for one in chat.got] == [1, 2]
        assert [row["number"] for row in bridge.attempts()] == [1, 2]


@pytest.mark.once
def test_an_expired_delivery_gets_a_fresh_max_age(tmp_path: Path) -> None:
    chat = Chat(DOWN, DOWN, None)
    with rig(tmp_path, (connector(max_age="1m", retry={"schedule": ["50s", "50s"], "jitter": 0}), chat)) as bridge:
        bridge.miss()
        bridge.settle()
        bridge.advance(3600)
        assert bridge.states() == ["expired"]
        bridge.replay(bridge.rows()[0]["id"])
        bridge.settle()
        assert bridge.states() == ["pending"]
        bridge.advance(50)

        assert bridge.states() == ["delivered"]


@pytest.mark.once
def test_the_schedule_starts_anew_and_attempts_count_on(tmp_path: Path) -> None:
    chat = Chat(DOWN)
    with rig(tmp_path, (connector(retry={"schedule": ["5s", "5s"], "jitter": 0}), chat)) as bridge:
        bridge.miss()
        bridge.settle()
        bridge.advance(5)
        bridge.advance(5)
        assert (bridge.states(), bridge.rows()[0]["attempts"]) == (["dead"], 3)
        bridge.replay()
        bridge.settle()
        bridge.advance(5)
        assert (bridge.states(), bridge.rows()[0]["attempts"]) == (["pending"], 5)
        bridge.advance(5)

        assert (bridge.states(), bridge.rows()[0]["attempts"]) == (["dead"], 6)
        assert [row["number"] for row in bridge.attempts()] == [1, 2, 3, 4, 5, 6]


def test_all_deliveries_of_an_event_can_be_replayed_by_its_id(tmp_path: Path) -> None:
    chat, crm = Chat(), Chat()
    with rig(tmp_path, (connector("chat"), chat), (connector("crm"), crm)) as bridge:
        bridge.miss("1", "2")
        bridge.settle()
        bridge.replay(chat.got[0].event.id)
        bridge.settle()

        assert chat.call_ids[2:] == crm.call_ids[2:] == chat.call_ids[:1]


def test_a_replay_during_the_last_try_of_the_schedule_begins_it_anew(tmp_path: Path) -> None:
    gate = Gate()

    def fail_late(batch: object) -> None:
        gate(())
        raise DOWN

    chat = Chat(fail_late, None)
    with rig(tmp_path, (connector(retry={"schedule": []}), chat)) as bridge:
        bridge.miss()
        gate.wait_entered()
        bridge.clock.passed += 1
        bridge.replay(bridge.rows()[0]["id"])
        assert len(chat.got) == 1
        gate.open()
        bridge.settle()

        assert (bridge.states(), bridge.rows()[0]["attempts"]) == (["delivered"], 2)
        assert bridge.health().dead_untold == 0


@pytest.mark.once
def test_a_replay_for_a_paused_connector_waits_for_its_resume(tmp_path: Path) -> None:
    chat = Chat(REFUSED, None)
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.miss()
        bridge.settle()
        bridge.change_health("chat", Health.pause)
        bridge.replay()
        bridge.settle()
        assert bridge.states() == ["pending"]
        bridge.change_health("chat", Health.resume)
        bridge.settle()

        assert bridge.states() == ["delivered"]
