"""When a connector is given a rest: wrong credentials, a target that is gone, an open breaker, a pause, a rate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from bridge.errors import Misconfigured, PermanentFailure, TargetGone, TemporaryFailure
from bridge.health import Health
from bridge.model import Delivery, TroubleData
from tests.plugins_for_tests.rig import START, Chat, Gate, Rig, connector, rig

REFUSED = Misconfigured("HTTP 401: mend the token", status=401)
DOWN = TemporaryFailure("down")
GONE = TargetGone("HTTP 410: mend the URL", status=410)
WATCH = connector("watch", on=["bridge.*"])


def told(chat: Chat) -> list[tuple[str, str | None, str, int | None]]:
    """What a connector was told of the bridge's troubles."""
    troubles = [(one.event.type, one.event.data.trouble) for one in chat.got if isinstance(one.event.data, TroubleData)]
    return [(kind, trouble.connector, trouble.reason, trouble.count) for kind, trouble in troubles]


# --- wrong credentials or target ----------------------------------------------------------------------------------


def test_wrong_credentials_pause_the_connector_and_its_deliveries_stay_pending(tmp_path: Path) -> None:
    chat = Chat(REFUSED)
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.miss("1")
        bridge.settle()
        bridge.miss("2", "3")
        bridge.advance(899)

        assert len(chat.got) == 1
        assert bridge.states() == ["pending"] * 3
        assert (bridge.health().paused_by, bridge.health().reason) == ("misconfigured", "HTTP 401: mend the token")
        assert [row["outcome"] for row in bridge.attempts()] == ["misconfigured"]


@pytest.mark.once
def test_a_misconfigured_connector_is_probed_with_one_delivery_every_15_minutes(tmp_path: Path) -> None:
    chat = Chat(REFUSED)
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.miss("1")
        bridge.settle()
        bridge.miss("2", "3")
        tries = []
        for seconds in (900, 450, 449, 1, 900):
            bridge.advance(seconds)
            tries.append(len(chat.got))

        assert tries == [2, 2, 2, 3, 4]
        assert bridge.states() == ["pending"] * 3


def test_a_probe_that_goes_through_ends_the_pause_and_all_is_delivered(tmp_path: Path) -> None:
    chat = Chat(REFUSED, None)
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.miss("1")
        bridge.settle()
        bridge.miss("2", "3")
        bridge.advance(900)

        assert bridge.states() == ["delivered"] * 3
        assert bridge.health().paused_by is None


@pytest.mark.once
def test_wrong_credentials_use_up_no_step_of_the_schedule(tmp_path: Path) -> None:
    chat = Chat(*[REFUSED] * 10, DOWN, None)
    with rig(tmp_path, (connector(retry={"schedule": ["5s"]}, max_age="7d"), chat)) as bridge:
        bridge.miss()
        bridge.settle()
        for _ in range(10):
            bridge.advance(900)
        assert bridge.states() == ["pending"]
        bridge.advance(900)

        assert (bridge.states(), bridge.rows()[0]["attempts"]) == (["delivered"], 12)


@pytest.mark.once
def test_a_probe_that_fails_otherwise_waits_for_the_next_quarter_of_an_hour(tmp_path: Path) -> None:
    chat = Chat(REFUSED, PermanentFailure("HTTP 422"), DOWN, None)
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.miss("1")
        bridge.settle()
        bridge.miss("2", "3", "4")
        tries = []
        for seconds in (900, 899, 1, 899, 1):
            bridge.advance(seconds)
            tries.append(len(chat.got))

        assert tries[:4] == [2, 2, 3, 3]
        assert bridge.health().paused_by is None
        assert sorted(bridge.states()) == ["dead", "delivered", "delivered", "delivered"]


def test_another_connector_is_told_once_of_the_pause(tmp_path: Path) -> None:
    chat, watch = Chat(REFUSED), Chat()
    with rig(tmp_path, (connector(on=["*"]), chat), (WATCH, watch)) as bridge:
        bridge.miss("1", "2", "3", "4")
        bridge.settle()
        for _ in range(4):
            bridge.advance(900)

        assert told(watch) == [("bridge.connector_paused", "chat", "HTTP 401: mend the token", None)]
        assert all(kind.startswith("call.") for kind in chat.types)


@pytest.mark.once
def test_a_new_pause_after_it_had_worked_is_told_again(tmp_path: Path) -> None:
    chat, watch = Chat(REFUSED, None, REFUSED), Chat()
    with rig(tmp_path, (connector(), chat), (WATCH, watch)) as bridge:
        bridge.miss("1")
        bridge.settle()
        bridge.advance(900)
        bridge.miss("2")
        bridge.settle()

        assert [kind for kind, *_ in told(watch)] == ["bridge.connector_paused"] * 2


# --- a target that is gone ----------------------------------------------------------------------------------------


@pytest.mark.once
def test_a_target_that_is_gone_ends_the_delivery_and_pauses_until_resumed(tmp_path: Path) -> None:
    chat, watch = Chat(GONE, None), Chat()
    with rig(
        tmp_path, (connector(max_age="30d"), chat), (connector("watch", on=["bridge.connector_paused"]), watch)
    ) as bridge:
        bridge.miss("1")
        bridge.settle()
        bridge.miss("2")
        bridge.advance(7 * 24 * 3600)
        assert (bridge.states(), len(chat.got)) == (["dead", "pending"], 1)
        assert told(watch) == [("bridge.connector_paused", "chat", "HTTP 410: mend the URL", None)]
        bridge.change_health("chat", Health.resume)
        bridge.settle()

        assert bridge.states() == ["dead", "delivered"]


@pytest.mark.once
def test_a_delivery_that_was_under_way_does_not_end_the_pause_of_a_gone_target(tmp_path: Path) -> None:
    gate = Gate()

    def answer(batch: Sequence[Delivery]) -> None:
        if batch[0].event.call and batch[0].event.call.id == "gone":
            raise GONE
        gate(batch)

    with rig(tmp_path, (connector(), Chat(answer))) as bridge:
        bridge.miss("slow")
        gate.wait_entered()
        bridge.miss("gone")
        bridge.dispatcher.run_once()
        while bridge.health().paused_by is None:
            bridge.dispatcher.run_once()
        gate.open()
        bridge.settle()

        assert sorted(bridge.states()) == ["dead", "delivered"]
        assert bridge.health().paused_by == "gone"


# --- the operator's pause -----------------------------------------------------------------------------------------


def test_what_is_owed_to_a_paused_connector_waits_for_the_resume(tmp_path: Path) -> None:
    chat = Chat()
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.change_health("chat", Health.pause)
        bridge.settle()
        bridge.miss("1", "2")
        bridge.advance(3600)
        assert (bridge.states(), chat.got) == (["pending", "pending"], [])
        bridge.change_health("chat", Health.resume)
        bridge.settle()

        assert [row["attempts"] for row in bridge.rows()] == [1, 1]
        assert bridge.states() == ["delivered", "delivered"]


def test_a_pause_gives_back_what_was_queued_untried(tmp_path: Path) -> None:
    gate = Gate()
    chat = Chat(gate)
    with rig(tmp_path, (connector(concurrency=1), chat)) as bridge:
        bridge.miss("1", "2", "3")
        gate.wait_entered()
        bridge.change_health("chat", Health.pause)
        bridge.dispatcher.run_once()
        gate.open()
        bridge.settle()

        assert len(chat.got) == 1
        assert sorted((row["state"], row["attempts"]) for row in bridge.rows()) == [
            ("delivered", 1),
            ("pending", 0),
            ("pending", 0),
        ]


# --- the breaker --------------------------------------------------------------------------------------------------

BREAKER = {"failures": 5, "cooldown": ["30s", "1m", "2m", "5m"]}


def fail(bridge: Rig, count: int) -> None:
    """Calls that are missed one after the other."""
    for number in range(count):
        bridge.miss(f"{bridge.clock.passed} {number}")
        bridge.settle()


def test_five_failures_in_a_row_open_the_breaker(tmp_path: Path) -> None:
    chat = Chat(DOWN)
    with rig(tmp_path, (connector(breaker=BREAKER, retry={"schedule": ["10h"]}), chat)) as bridge:
        fail(bridge, 9)
        bridge.advance(29)

        assert len(chat.got) == 5
        assert bridge.health().open_until == START + 30


@pytest.mark.once
def test_four_failures_and_a_success_do_not_open_it(tmp_path: Path) -> None:
    chat = Chat(*[DOWN] * 4, None, *[DOWN] * 4, None)
    with rig(tmp_path, (connector(breaker=BREAKER, retry={"schedule": ["10h"]}), chat)) as bridge:
        fail(bridge, 10)

        assert (len(chat.got), bridge.health().open_until) == (10, None)


@pytest.mark.once
def test_an_open_breaker_lets_one_probe_through_after_each_longer_cool_down(tmp_path: Path) -> None:
    chat = Chat(DOWN)
    with rig(tmp_path, (connector(breaker=BREAKER, retry={"schedule": ["10h"]}), chat)) as bridge:
        fail(bridge, 20)
        tries = []
        for seconds in (29.9, 0.1, 59.9, 0.1, 119.9, 0.1, 299.9, 0.1, 299.9, 0.1):
            bridge.advance(seconds)
            tries.append(len(chat.got))

        assert tries == [5, 6, 6, 7, 7, 8, 8, 9, 9, 10]


@pytest.mark.once
def test_a_probe_that_goes_through_closes_the_breaker_and_starts_the_cool_downs_anew(tmp_path: Path) -> None:
    chat = Chat(*[DOWN] * 6, None)
    with rig(tmp_path, (connector(breaker=BREAKER, retry={"schedule": ["10h"]}), chat)) as bridge:
        fail(bridge, 8)
        bridge.advance(30)
        bridge.advance(60)
        assert (len(chat.got), bridge.health().open_until, bridge.health().failures) == (8, None, 0)
        chat.answer(DOWN)
        fail(bridge, 5)

        assert bridge.health().open_until == bridge.clock.wall() + 30


@pytest.mark.once
def test_waiting_for_the_breaker_spends_no_attempt(tmp_path: Path) -> None:
    chat = Chat(*[DOWN] * 5, None)
    with rig(tmp_path, (connector(breaker=BREAKER, retry={"schedule": ["10h"]}), chat)) as bridge:
        fail(bridge, 7)
        bridge.advance(30)

        assert [row["attempts"] for row in bridge.rows()] == [1] * 7
        assert bridge.states() == ["pending"] * 5 + ["delivered"] * 2


@pytest.mark.once
def test_without_a_breaker_every_delivery_is_tried(tmp_path: Path) -> None:
    chat = Chat(DOWN)
    with rig(tmp_path, (connector(breaker={"failures": 0}, retry={"schedule": ["10h"]}), chat)) as bridge:
        fail(bridge, 20)

        assert (len(chat.got), bridge.health().open_until) == (20, None)


@pytest.mark.once
def test_an_open_breaker_is_no_business_of_another_connector(tmp_path: Path) -> None:
    chat, crm = Chat(DOWN), Chat()
    broken = connector(breaker=BREAKER, retry={"schedule": ["10h"]})
    with rig(tmp_path, (broken, chat), (connector("crm", breaker=BREAKER), crm)) as bridge:
        fail(bridge, 9)

        assert (len(chat.got), len(crm.got)) == (5, 9)


# --- the rate -----------------------------------------------------------------------------------------------------


@pytest.mark.once
def test_a_rate_keeps_its_limit_and_spends_no_attempt(tmp_path: Path) -> None:
    chat = Chat()
    with rig(tmp_path, (connector(rate="2/s"), chat)) as bridge:
        bridge.miss(*map(str, range(5)))
        bridge.settle()
        counts = [len(chat.got)]
        for seconds in (0.9, 0.1, 1.0):
            bridge.advance(seconds)
            counts.append(len(chat.got))

        assert counts == [2, 2, 4, 5]
        assert {row["attempts"] for row in bridge.rows()} == {1}


@pytest.mark.once
def test_a_rate_counts_in_a_sliding_window(tmp_path: Path) -> None:
    chat = Chat()
    with rig(tmp_path, (connector(rate="2/m"), chat)) as bridge:
        bridge.miss("1")
        bridge.settle()
        bridge.advance(50)
        bridge.miss("2", "3", "4")
        bridge.settle()
        assert len(chat.got) == 2
        bridge.advance(10)
        assert len(chat.got) == 3
        bridge.advance(49)
        assert len(chat.got) == 3
        bridge.advance(1)
        assert len(chat.got) == 4
