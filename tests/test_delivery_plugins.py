"""What a connector does wrong costs its own delivery at most: exceptions, nonsense, calls that do not return."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bridge.delivery.lane import HANG_GRACE, MOST_ABANDONED
from bridge.errors import PermanentFailure, TemporaryFailure
from bridge.model import Delivery, Receipt, Skip
from bridge.testing import eventually
from tests.plugins_for_tests.rig import Chat, Gate, Rig, connector, rig


class Odd(Exception):
    """An exception that cannot even be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


NONSENSE = [
    pytest.param("delivered!", id="text"),
    pytest.param(True, id="true"),
    pytest.param([None], id="a list for one delivery"),
    pytest.param(Receipt(text=7), id="a receipt with a number"),  # type: ignore[arg-type]  # what it is about
    pytest.param(Receipt(status="200"), id="a status that is text"),  # type: ignore[arg-type]
    pytest.param(Receipt(answer=b"ok"), id="an answer in bytes"),  # type: ignore[arg-type]
    pytest.param(Skip(reason=None), id="a skip without words"),  # type: ignore[arg-type]
    pytest.param(TemporaryFailure("x", retry_after="soon"), id="a wait in words"),  # type: ignore[arg-type]
    pytest.param(PermanentFailure("x", status=object()), id="a status that is anything"),  # type: ignore[arg-type]
    pytest.param(Receipt, id="a class"),
]


@pytest.mark.parametrize("answer", NONSENSE)
def test_nonsense_counts_as_a_temporary_failure(tmp_path: Path, answer: object) -> None:
    chat = Chat(answer, None)
    with rig(tmp_path, (connector(concurrency=1), chat)) as bridge:
        bridge.miss()
        bridge.settle()
        assert (bridge.states(), bridge.attempts()[0]["outcome"]) == (["pending"], "temporary")
        assert "nonsense" in bridge.rows()[0]["last_error"]
        bridge.advance(5)

        assert bridge.states() == ["delivered"]


@pytest.mark.parametrize("error", [ValueError("no such key"), SystemExit(3), KeyboardInterrupt(), Odd()], ids=repr)
def test_whatever_a_plugin_raises_counts_as_a_temporary_failure(tmp_path: Path, error: BaseException) -> None:
    chat = Chat(error, None)
    with rig(tmp_path, (connector(concurrency=1), chat)) as bridge:
        bridge.miss()
        bridge.settle()
        assert bridge.states() == ["pending"]
        assert type(error).__name__ in bridge.rows()[0]["last_error"]
        bridge.advance(5)

        assert bridge.states() == ["delivered"]


def test_what_one_plugin_raises_is_not_felt_by_another(tmp_path: Path) -> None:
    chat, crm = Chat(SystemExit(1)), Chat()
    with rig(tmp_path, (connector("chat"), chat), (connector("crm"), crm)) as bridge:
        bridge.miss("1", "2", "3")
        bridge.settle()

        assert bridge.states("chat") == ["pending"] * 3
        assert bridge.states("crm") == ["delivered"] * 3


# --- calls that do not return -------------------------------------------------------------------------------------


def hang(bridge: Rig, gate: Gate, times: int = 1) -> None:
    """Let calls that have arrived at the gate hang until their threads are given up."""
    for _ in range(times):
        gate.wait_entered()
    bridge.clock.passed += bridge.lane().policy.timeout + HANG_GRACE + 1
    bridge.dispatcher.run_once()


def test_a_call_that_hangs_is_given_up_after_timeout_and_grace_and_tried_again(tmp_path: Path) -> None:
    gate = Gate()
    chat = Chat(gate, None)
    with rig(tmp_path, (connector(timeout="10s"), chat)) as bridge:
        bridge.miss()
        gate.wait_entered()
        bridge.clock.passed += 10 + HANG_GRACE - 1
        bridge.dispatcher.run_once()
        assert bridge.attempts() == []
        bridge.clock.passed += 2
        bridge.dispatcher.run_once()
        assert bridge.attempts()[0]["error"] == "the connector did not return within 15 s"
        assert bridge.rows()[0]["state"] == "pending"
        bridge.advance(5)
        assert bridge.states() == ["delivered"]
        gate.open()


def test_a_call_that_returns_after_it_was_given_up_changes_nothing(tmp_path: Path) -> None:
    gate = Gate()
    chat = Chat(gate, TemporaryFailure("down"))
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.miss()
        hang(bridge, gate)
        before = bridge.rows(), bridge.attempts()
        gate.open()
        bridge.settle()

        assert (bridge.rows(), bridge.attempts()) == before
        assert bridge.states() == ["pending"]


def test_a_connector_that_hangs_is_not_noticed_by_another(tmp_path: Path) -> None:
    gate = Gate()
    crm = Chat()
    with rig(tmp_path, (connector("chat", concurrency=2), Chat(gate)), (connector("crm"), crm)) as bridge:
        bridge.miss(*map(str, range(6)))
        bridge.dispatcher.run_once()
        eventually(lambda: bridge.states("crm") == ["delivered"] * 6)

        assert bridge.states("chat") == ["pending"] * 6
        gate.open()


def test_other_deliveries_of_a_connector_go_on_in_new_threads(tmp_path: Path) -> None:
    gate = Gate()
    chat = Chat(gate, gate, None)
    with rig(tmp_path, (connector(concurrency=2), chat)) as bridge:
        bridge.miss("1", "2", "3", "4")
        hang(bridge, gate, 2)
        bridge.settle()

        assert bridge.states() == ["pending", "pending", "delivered", "delivered"]
        gate.open()


def test_a_connector_that_hangs_again_and_again_gets_no_more_threads_until_some_return(tmp_path: Path) -> None:
    gate = Gate()
    chat = Chat(gate)
    settings = {"concurrency": 4, "retry": {"schedule": ["10h"]}, "max_age": "7d"}
    with rig(tmp_path, (connector(**settings), chat)) as bridge:
        for round_ in range(MOST_ABANDONED // 4):
            bridge.miss(*(f"{round_} {number}" for number in range(4)))
            hang(bridge, gate, 4)
        bridge.miss("last")
        bridge.settle()

        assert bridge.lane().is_hung
        assert len(chat.calls) == MOST_ABANDONED
        gate.open()
        eventually(lambda: not bridge.lane().is_hung)
        bridge.settle()
        assert bridge.states()[-1] == "delivered"


def test_a_plugin_that_is_not_threadsafe_is_not_called_while_a_call_of_it_hangs(tmp_path: Path) -> None:
    gate = Gate()
    chat = Chat(gate, None)
    with rig(tmp_path, (connector(kind={"threadsafe": False}), chat)) as bridge:
        bridge.miss("1", "2", "3")
        hang(bridge, gate)
        bridge.settle()
        bridge.advance(5)
        assert (len(chat.calls), bridge.lane().is_hung) == (1, True)
        gate.open()
        eventually(lambda: not bridge.lane().is_hung)
        bridge.settle()

        assert (bridge.states(), chat.most_at_once) == (["delivered"] * 3, 1)


def test_what_waited_in_a_slow_connector_s_queue_for_longer_than_its_lease_is_still_delivered(tmp_path: Path) -> None:
    gate = Gate()
    chat = Chat(gate, None)
    with rig(tmp_path, (connector(concurrency=1, timeout="1s"), chat)) as bridge:
        bridge.miss("1", "2", "3")
        gate.wait_entered()
        bridge.clock.passed += bridge.lane().lease_seconds - 5
        gate.open()
        eventually(lambda: sum(state == "delivered" for state in bridge.states()) == 1)
        bridge.lane().wait_idle(bridge.clock.monotonic() + 20)
        eventually(lambda: all(row["lease"] is None for row in bridge.rows()))
        while bridge.dispatcher.run_once() == 0:  # nobody but the lane has said that something is due
            pass

        eventually(lambda: bridge.states() == ["delivered"] * 3)


# --- batches ------------------------------------------------------------------------------------------------------

BATCHES = {"max_batch": 10, "threadsafe": False}


def each(answer: Callable[[Delivery], object]) -> Callable[[Sequence[Delivery]], list[object]]:
    """An answer for each member of a batch."""
    return lambda batch: [answer(delivery) for delivery in batch]


def call_of(delivery: Delivery) -> str:
    return delivery.event.call.id if delivery.event.call else ""


def collect(bridge: Rig, gate: Gate, *call_ids: str) -> None:
    """Missed calls that come in while the connector is busy with another."""
    bridge.miss("first")
    gate.wait_entered()
    bridge.miss(*call_ids)
    gate.open()


def test_a_kind_with_max_batch_gets_what_waits_together_and_no_more_than_that(tmp_path: Path) -> None:
    gate = Gate()
    chat = Chat(lambda batch: gate(batch) or [None], each(lambda _: Receipt(text="row")))
    with rig(tmp_path, (connector(kind=BATCHES), chat)) as bridge:
        collect(bridge, gate, *map(str, range(25)))
        bridge.settle()

        assert max(map(len, chat.calls)) == 10
        assert len(chat.calls) <= 5
        assert bridge.states() == ["delivered"] * 26


def test_in_a_batch_each_member_has_its_own_outcome(tmp_path: Path) -> None:
    answers = {
        "good": Receipt(text="row 7"),
        "late": TemporaryFailure("row locked"),
        "bad": PermanentFailure("no such sheet"),
        "not mine": Skip("weekend"),
        "plain": None,
    }
    gate = Gate()
    chat = Chat(lambda batch: gate(batch) or [None], each(lambda delivery: answers[call_of(delivery)]))
    with rig(tmp_path, (connector(kind=BATCHES), chat)) as bridge:
        collect(bridge, gate, *answers)
        bridge.settle()

        assert len(chat.calls) == 2
        assert bridge.states()[1:] == ["delivered", "pending", "dead", "skipped", "delivered"]
        chat.answer(each(lambda _: None))
        bridge.advance(5)
        assert [call_of(delivery) for delivery in chat.calls[-1]] == ["late"]


@pytest.mark.parametrize(
    "answer",
    [TemporaryFailure("sheet locked"), ValueError("broken"), lambda _: [None], lambda _: 7],
    ids=["a failure", "an exception", "too few answers", "nonsense"],
)
def test_a_batch_that_fails_as_a_whole_is_tried_again_as_a_whole(tmp_path: Path, answer: object) -> None:
    gate = Gate()
    chat = Chat(lambda batch: gate(batch) or [None], answer)
    with rig(tmp_path, (connector(kind=BATCHES), chat)) as bridge:
        collect(bridge, gate, "1", "2", "3")
        bridge.settle()
        states = bridge.states()
        chat.answer(each(lambda _: None))
        bridge.advance(5)

        assert states == ["delivered", "pending", "pending", "pending"]
        assert bridge.states() == ["delivered"] * 4


def test_a_rate_limits_the_calls_and_not_the_members_of_a_batch(tmp_path: Path) -> None:
    chat = Chat(each(lambda _: None))
    with rig(tmp_path, (connector(kind=BATCHES, rate="1/m"), chat)) as bridge:
        bridge.miss("first")
        bridge.settle()
        bridge.miss(*map(str, range(9)))
        bridge.advance(60)

        assert [len(batch) for batch in chat.calls] == [1, 9]


# --- threads ------------------------------------------------------------------------------------------------------


def test_a_connector_without_work_keeps_no_more_threads_than_its_concurrency(tmp_path: Path) -> None:
    chat = Chat()
    with rig(tmp_path, (connector("unique", concurrency=3), chat)) as bridge:
        for number in range(30):
            bridge.miss(str(number))
        bridge.settle()

        assert sum(thread.name == "deliver-unique" for thread in threading.enumerate()) <= 3


def test_an_answer_that_no_store_can_keep_is_nonsense_and_costs_the_connector_no_thread(tmp_path: Path) -> None:
    chat = Chat(Receipt(status=2**70))
    with rig(tmp_path, (connector(retry={"schedule": []}), chat)) as bridge:
        bridge.miss("1")
        bridge.settle()
        bridge.miss("2")
        bridge.settle()
        assert bridge.states() == ["dead", "dead"]
