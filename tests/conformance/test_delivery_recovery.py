"""Nothing that is owed stays behind: after an outage of the store, a lost claim, a stop in the middle."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bridge.delivery.dispatcher import LOOK_AGAIN
from bridge.errors import TemporaryFailure
from bridge.testing import eventually
from tests.plugins_for_tests.rig import Chat, Gate, connector, rig


def test_what_is_due_is_delivered_after_an_outage_of_the_store_without_a_restart(
    tmp_path: Path, impatient: None, caplog: pytest.LogCaptureFixture
) -> None:
    down = TemporaryFailure("down")
    with rig(tmp_path, (connector(), Chat(down, down, None))) as bridge:
        bridge.miss("1", "2")
        bridge.settle()
        bridge.clock.passed += 5
        with caplog.at_level(logging.WARNING, "callbridge.delivery"):
            with bridge.outage():
                bridge.dispatcher.start()
                eventually(lambda: "nothing can be dispatched" in caplog.text, "a round that fails")
            eventually(lambda: bridge.states() == ["delivered"] * 2, "the deliveries after the outage")
            eventually(lambda: "the store works again" in caplog.text)

        assert caplog.text.count("nothing can be dispatched") == 1


def test_an_outcome_is_recorded_as_soon_as_the_store_works_again(tmp_path: Path, impatient: None) -> None:
    gate = Gate()
    chat = Chat(gate)
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.miss()
        gate.wait_entered()
        with bridge.outage():
            gate.open()
            eventually(lambda: chat._at_once == 0, "the answer")
        eventually(lambda: bridge.states() == ["delivered"], "the outcome")

        assert (len(chat.got), len(bridge.attempts())) == (1, 1)


def test_a_claim_that_was_lost_is_found_again_after_its_lease(tmp_path: Path) -> None:
    chat = Chat()
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.settle()
        bridge.keep("hangup")  # leased to this process, which never hears of it
        bridge.clock.passed += bridge.lane().lease_seconds
        bridge.clock.passed += LOOK_AGAIN
        bridge.dispatcher.run_once()  # nobody has said that something is due

        eventually(lambda: bridge.states() == ["delivered"])
        assert len(chat.got) == 1


@pytest.mark.once
def test_a_stop_lets_calls_under_way_end_and_gives_the_rest_back_untried(tmp_path: Path) -> None:
    gate = Gate()
    chat = Chat(gate)
    with rig(tmp_path, (connector(concurrency=1), chat)) as bridge:
        bridge.dispatcher.start()
        bridge.miss("1", "2", "3")
        gate.wait_entered()
        gate.open()
        bridge.dispatcher.stop(20.0)

        rows = bridge.rows_at_rest()
        tried = [row for row in rows if row["state"] == "delivered"]
        given_back = [row for row in rows if row["state"] == "pending"]
        assert len(tried) == len(chat.got) >= 1
        assert len(tried) + len(given_back) == 3
        assert {row["attempts"] for row in given_back} <= {0}


@pytest.mark.once
def test_a_call_that_outlasts_the_stop_is_given_back_and_what_it_says_later_is_not_believed(tmp_path: Path) -> None:
    gate = Gate()
    with rig(tmp_path, (connector(), Chat(gate))) as bridge:
        bridge.miss("1")
        gate.wait_entered()
        bridge.dispatcher.stop(0.0)
        (row,) = bridge.rows_at_rest()
        gate.open()

        assert (row["state"], row["attempts"]) == ("pending", 0)
        assert bridge.rows() == [row]


def test_what_comes_in_while_the_bridge_stops_is_kept_for_the_next_start(tmp_path: Path) -> None:
    chat = Chat()
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.dispatcher.stop(0.0)
        bridge.miss("1", "2")

        assert [row["state"] for row in bridge.rows_at_rest()] == ["pending"] * 2
        assert chat.got == []
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.settle()
        assert sorted(chat.call_ids) == ["1", "2"]
