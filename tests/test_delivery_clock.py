"""The wall clock is set back and forward: no storm, no stall."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from bridge.errors import TemporaryFailure
from tests.plugins_for_tests.rig import Chat, Clock, Gate, connector, rig

HOUR = 3600.0
DOWN = TemporaryFailure("down")

both_ways = pytest.mark.parametrize("hours", [-1, 1], ids=["back", "forward"])


@both_ways
def test_a_retry_comes_when_it_would_have_come(tmp_path: Path, hours: int) -> None:
    chat = Chat(DOWN, None)
    with rig(tmp_path, (connector(retry={"schedule": [30], "jitter": 0}), chat)) as bridge:
        bridge.miss(*map(str, range(20)))
        bridge.settle()
        tried = len(chat.got)
        bridge.clock.set_by = hours * HOUR
        bridge.advance(29)
        assert len(chat.got) == tried
        bridge.advance(2)

        assert bridge.states() == ["delivered"] * 20


@both_ways
def test_nothing_is_too_old_for_it_nor_young_again(tmp_path: Path, hours: int) -> None:
    with rig(tmp_path, (connector(max_age="60s", retry={"schedule": [40, 40], "jitter": 0}), Chat(DOWN))) as bridge:
        bridge.miss()
        bridge.settle()
        bridge.clock.set_by = hours * HOUR
        bridge.advance(45)
        assert bridge.states() == ["pending"]
        bridge.advance(40)

        assert bridge.states() == ["expired"]


@both_ways
def test_a_breaker_is_open_as_long_as_it_would_have_been(tmp_path: Path, hours: int) -> None:
    breaker = {"failures": 1, "cooldown": ["10m"]}
    chat = Chat(DOWN, None)
    with rig(tmp_path, (connector(breaker=breaker, retry={"schedule": [5], "jitter": 0}), chat)) as bridge:
        bridge.miss()
        bridge.settle()
        bridge.clock.set_by = hours * HOUR
        bridge.advance(590)
        assert len(chat.got) == 1
        bridge.advance(20)

        assert bridge.states() == ["delivered"]


@both_ways
def test_what_is_under_way_is_not_taken_by_another_process_and_all_move_along_once(tmp_path: Path, hours: int) -> None:
    gate, clock = Gate(), Clock()
    first, second = Chat(gate), Chat()
    with (
        rig(tmp_path, (connector(), first), clock=clock) as one,
        rig(tmp_path, (connector(), second), clock=clock) as two,
    ):
        one.dispatcher.run_once()
        two.dispatcher.run_once()
        one.miss()
        gate.wait_entered()
        before = one.rows()[0]["due_at"]
        clock.set_by = hours * HOUR
        two.dispatcher.run_once()
        one.dispatcher.run_once()

        assert one.rows()[0]["due_at"] == before + hours * HOUR
        assert second.got == []
        gate.open()
        one.settle()
        assert (one.states(), len(first.got)) == (["delivered"], 1)


@both_ways
def test_a_try_that_is_under_way_and_fails_comes_again_soon(tmp_path: Path, hours: int) -> None:
    def fail(batch: Sequence[object]) -> None:
        gate(batch)
        raise DOWN

    gate, chat = Gate(), Chat()
    chat.answer(fail, None)
    with rig(tmp_path, (connector(retry={"schedule": [30], "jitter": 0}), chat)) as bridge:
        bridge.miss()
        gate.wait_entered()
        bridge.clock.set_by = hours * HOUR
        bridge.dispatcher.run_once()
        gate.open()
        bridge.settle()
        bridge.advance(31)

        assert bridge.states() == ["delivered"]


@both_ways
def test_a_clock_that_was_set_while_no_bridge_ran_is_noticed_at_the_start(tmp_path: Path, hours: int) -> None:
    with rig(tmp_path, (connector(retry={"schedule": [30], "jitter": 0}), Chat(DOWN))) as bridge:
        bridge.miss()
        bridge.settle()
        clock = bridge.clock
    clock.set_by = hours * HOUR
    chat = Chat()
    with rig(tmp_path, (connector(), chat), clock=clock) as bridge:
        bridge.settle()
        assert chat.got == []
        bridge.advance(31)

        assert bridge.states() == ["delivered"]


def test_a_small_step_of_the_clock_moves_nothing(tmp_path: Path) -> None:
    with rig(tmp_path, (connector(retry={"schedule": [30], "jitter": 0}), Chat(DOWN))) as bridge:
        bridge.miss()
        bridge.settle()
        before = bridge.rows()
        bridge.clock.set_by = 2.0
        bridge.settle()

        assert bridge.rows() == before


@both_ways
def test_what_comes_in_before_anybody_has_looked_at_the_clock_does_not_move_along(tmp_path: Path, hours: int) -> None:
    gate = Gate()
    with rig(tmp_path, (connector(), Chat(gate))) as bridge:
        bridge.dispatcher.run_once()
        bridge.clock.set_by = hours * HOUR
        bridge.miss()
        gate.wait_entered()
        before = bridge.rows()[0]["due_at"]
        bridge.dispatcher.run_once()

        assert bridge.rows()[0]["due_at"] == before
        gate.open()
        bridge.settle()
        assert bridge.states() == ["delivered"]
