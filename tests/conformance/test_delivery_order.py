"""In which order deliveries are made: per connector, target and call one after the other, all others at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from bridge.errors import TemporaryFailure
from bridge.model import Delivery
from bridge.testing import eventually
from tests.plugins_for_tests.rig import Chat, Gate, connector, rig

DOWN = TemporaryFailure("down")


def test_the_events_of_a_call_arrive_in_their_order_one_at_a_time(tmp_path: Path) -> None:
    chat = Chat()
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.post("ringing")
        bridge.post("answered")
        bridge.post("hangup")
        bridge.settle()

        assert chat.types == ["call.ringing", "call.answered", "call.completed"]
        assert chat.most_at_once == 1


def test_a_retry_that_waits_holds_back_the_later_events_of_its_call(tmp_path: Path) -> None:
    chat = Chat(DOWN, None)
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.post("ringing")
        bridge.settle()
        bridge.miss()
        bridge.advance(4)
        assert chat.types == ["call.ringing"]
        bridge.advance(1)

        assert chat.types == ["call.ringing", "call.ringing", "call.missed"]


def test_a_retry_that_waits_longer_than_order_hold_lets_the_later_ones_pass(tmp_path: Path) -> None:
    chat = Chat(DOWN, None)
    with rig(tmp_path, (connector(order_hold="20s", retry={"schedule": ["1h"]}), chat)) as bridge:
        bridge.post("ringing")
        bridge.settle()
        bridge.miss()
        bridge.advance(19.9)
        assert chat.types == ["call.ringing"]
        bridge.advance(0.1)
        assert chat.types == ["call.ringing", "call.missed"]
        bridge.advance(1.2 * 3600)

        assert chat.types == ["call.ringing", "call.missed", "call.ringing"]


@pytest.mark.once
def test_without_order_hold_a_retry_holds_back_nothing(tmp_path: Path) -> None:
    chat = Chat(DOWN, None)
    with rig(tmp_path, (connector(order_hold=0), chat)) as bridge:
        bridge.post("ringing")
        bridge.settle()
        bridge.miss()
        bridge.settle()

        assert chat.types == ["call.ringing", "call.missed"]


@pytest.mark.once
def test_other_calls_do_not_wait_for_a_retry(tmp_path: Path) -> None:
    chat = Chat(DOWN, None)
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.post("ringing", "1")
        bridge.settle()
        bridge.miss("1", "2", "3")
        bridge.settle()

        assert chat.call_ids == ["1", "2", "3"]


@pytest.mark.once
def test_the_same_call_id_at_another_connector_does_not_wait(tmp_path: Path) -> None:
    chat, crm = Chat(DOWN, None), Chat()
    with rig(tmp_path, (connector("chat"), chat), (connector("crm"), crm)) as bridge:
        bridge.post("ringing")
        bridge.settle()
        bridge.miss()
        bridge.settle()

        assert (chat.types, crm.types) == (["call.ringing"], ["call.ringing", "call.missed"])


def test_a_dead_event_lets_the_later_ones_of_its_call_go(tmp_path: Path) -> None:
    chat = Chat(DOWN, DOWN, None)
    with rig(tmp_path, (connector(retry={"schedule": ["5s"], "jitter": 0}), chat)) as bridge:
        bridge.post("ringing")
        bridge.settle()
        bridge.miss()
        bridge.advance(5)

        assert (bridge.states(), chat.types[-1]) == (["dead", "delivered"], "call.missed")


def test_later_events_are_held_back_while_one_is_under_way(tmp_path: Path) -> None:
    gate = Gate()
    chat = Chat(gate, None)
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.post("ringing", "1")
        gate.wait_entered()
        bridge.miss("1", "2")
        bridge.dispatcher.run_once()
        gate.open()
        bridge.settle()

        assert sorted(chat.types[1:]) == ["call.missed", "call.missed"]
        assert chat.got[-1].event.call is not None
        assert bridge.states() == ["delivered"] * 3
        assert bridge.attempts()[0]["started_at"] <= bridge.attempts()[-1]["started_at"]


@pytest.mark.once
def test_what_comes_in_goes_before_a_backlog(tmp_path: Path) -> None:
    gate = Gate()
    chat = Chat(gate, None)
    with rig(tmp_path, (connector(concurrency=1), chat)) as bridge:
        bridge.change_health("chat", lambda health: health.pause())
        bridge.settle()
        bridge.miss("old 1", "old 2", "old 3")
        bridge.clock.passed += 60
        bridge.change_health("chat", lambda health: health.resume())
        bridge.dispatcher.run_once()
        gate.wait_entered()
        bridge.miss("new")
        gate.open()
        bridge.settle()

        assert chat.call_ids.index("new") == 1
        assert len(chat.got) == 4


# --- several targets ----------------------------------------------------------------------------------------------


def of_target(*failing: str) -> object:
    """An answer that is a failure for some targets."""

    def answer(batch: Sequence[Delivery]) -> None:
        if batch[0].target in failing:
            raise DOWN

    return answer


def test_each_target_gets_the_event_for_itself(tmp_path: Path) -> None:
    kind = {"targets": lambda _: ["reception", "sales"]}
    chat = Chat()
    with rig(tmp_path, (connector(kind=kind), chat)) as bridge:
        bridge.miss()
        bridge.settle()

        assert sorted(delivery.target for delivery in chat.got) == ["reception", "sales"]
        assert len({delivery.event.id for delivery in chat.got}) == 1
        assert len({delivery.id for delivery in chat.got}) == 2
        assert bridge.states() == ["delivered", "delivered"]


@pytest.mark.once
def test_a_failing_target_neither_repeats_nor_holds_back_another(tmp_path: Path) -> None:
    kind = {"targets": lambda _: ["reception", "sales"]}
    chat = Chat(of_target("reception"))
    with rig(tmp_path, (connector(kind=kind), chat)) as bridge:
        bridge.post("ringing")
        bridge.settle()
        bridge.miss()
        bridge.settle()

        got = [(delivery.target, delivery.event.type) for delivery in chat.got]
        assert sorted(got) == [("reception", "call.ringing"), ("sales", "call.missed"), ("sales", "call.ringing")]
        bridge.advance(5)
        assert sum(delivery.target == "sales" for delivery in chat.got) == 2


def test_what_was_owed_before_the_targets_were_known_is_owed_to_each(tmp_path: Path) -> None:
    chat = Chat()
    with rig(tmp_path, (connector(), chat)) as failed:
        failed.change_health("chat", lambda health: health.pause())
        failed.settle()
        failed.post("ringing")
        failed.miss()
    with rig(tmp_path, (connector(kind={"targets": lambda _: ("reception", "sales")}), chat)) as bridge:
        bridge.store.settle_targets("chat", ("reception", "sales"))
        bridge.settle()
        assert chat.got == []
        bridge.change_health("chat", lambda health: health.resume())
        bridge.settle()

        for target in ("reception", "sales"):
            got = [delivery.event.type for delivery in chat.got if delivery.target == target]
            assert got == ["call.ringing", "call.missed"]


# --- several at once ----------------------------------------------------------------------------------------------


@pytest.mark.once
def test_no_more_calls_at_once_than_concurrency(tmp_path: Path) -> None:
    gate = Gate()
    chat = Chat(gate)
    with rig(tmp_path, (connector(concurrency=2), chat)) as bridge:
        bridge.miss("1", "2", "3", "4", "5")
        gate.wait_entered()
        gate.wait_entered()
        assert len(chat.calls) == 2
        gate.open()
        bridge.settle()

        assert (len(chat.calls), chat.most_at_once) == (5, 2)


@pytest.mark.once
@pytest.mark.parametrize(("seconds", "ahead"), [(0.0, 32), (0.019, 10), (5.0, 2)])
def test_a_backlog_is_claimed_further_ahead_for_a_fast_connector_than_for_a_slow_one(
    tmp_path: Path, seconds: float, ahead: int
) -> None:
    def take(batch: Sequence[Delivery]) -> None:
        bridge.clock.passed += seconds

    with rig(tmp_path, (connector(concurrency=1), Chat(take))) as bridge:
        assert bridge.lane().backlog_room() == 2
        for call_id in range(40):
            bridge.miss(str(call_id))
            eventually(lambda: bridge.states()[-1] == "delivered")
        assert bridge.lane().backlog_room() == ahead


@pytest.mark.once
def test_a_free_slot_is_used_though_the_other_has_just_been_given_something(tmp_path: Path) -> None:
    gate = Gate()
    chat = Chat(None, gate)
    with rig(tmp_path, (connector(concurrency=2), chat)) as bridge:
        bridge.miss("0")
        bridge.settle()
        eventually(lambda: bridge.lane()._idle == 1, "the thread that has nothing to do")
        kept = [bridge.keep("hangup", "1"), bridge.keep("hangup", "2")]
        with bridge.lane()._changed:  # it cannot wake up before both are queued
            for one in kept:
                bridge.dispatcher.take(one.dues.claims)
        gate.wait_entered()
        gate.wait_entered()
        gate.open()
        bridge.settle()

        assert chat.most_at_once == 2


@pytest.mark.once
def test_a_plugin_that_is_not_threadsafe_is_called_once_at_a_time(tmp_path: Path) -> None:
    chat = Chat()
    with rig(tmp_path, (connector(concurrency=8, kind={"threadsafe": False}), chat)) as bridge:
        bridge.miss(*map(str, range(20)))
        bridge.settle()

        assert (len(chat.got), chat.most_at_once) == (20, 1)


def test_what_comes_in_goes_before_a_backlog_also_when_an_earlier_event_of_its_call_was_under_way(
    tmp_path: Path,
) -> None:
    gate = Gate()
    chat = Chat(gate, None)
    with rig(tmp_path, (connector(concurrency=1), chat)) as bridge:
        bridge.change_health("chat", lambda health: health.pause())
        bridge.settle()
        bridge.miss(*(f"old {number}" for number in range(200)))
        bridge.clock.passed += 60
        bridge.change_health("chat", lambda health: health.resume())
        bridge.dispatcher.start()
        gate.wait_entered()
        bridge.post("ringing", "new")
        bridge.post("hangup", "new")
        gate.open()
        eventually(lambda: bridge.states() == ["delivered"] * 202, "the end of the backlog")

        assert chat.call_ids.index("new") < 100
        assert chat.call_ids[::-1].index("new") > 100
