"""A connector with several targets: each is delivered to, paused and retried for itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bridge.connectors import describe_connectors
from bridge.errors import Misconfigured, PermanentFailure, PluginError, TemporaryFailure
from bridge.health import Health
from bridge.hookspecs import ConnectorKind
from bridge.model import CONNECTOR_PAUSED, DELIVERY_DEAD, Delivery
from bridge.plugins import LoadedConnector, _checked_targets
from bridge.testing import eventually
from tests.plugins_for_tests.rig import START, Chat, Gate, Rig, connector, rig

TARGETS = ("sales", "boss")
Trouble = Exception | Callable[[Sequence[Delivery]], Any] | None


def two(*targets: str, **settings: Any) -> LoadedConnector:
    return connector(kind={"targets": lambda _: targets or TARGETS}, **settings)


class Chats:
    """Chats by target; `boss` answers as it is told, the others take everything."""

    def __init__(self, boss: Trouble = None) -> None:
        self.boss = boss
        self.got: list[tuple[str, str]] = []

    def __call__(self, delivery: Delivery, batch: Sequence[Delivery]) -> object:
        if delivery.target == "boss" and self.boss is not None:
            if isinstance(self.boss, Exception):
                raise self.boss
            return self.boss(batch)
        assert delivery.event.call is not None
        self.got.append((delivery.target, delivery.event.call.id))
        return None

    def call_ids(self, target: str) -> list[str]:
        return sorted(call_id for to, call_id in self.got if to == target)


def described(one: Rig, chat: LoadedConnector) -> dict[str, Any]:
    with one.store.reading() as connection:
        (row,) = describe_connectors(connection, {"chat": chat}, one.clock.wall())
    return row


def test_wrong_credentials_of_one_target_pause_that_target_alone(tmp_path: Path) -> None:
    chats, chat = Chats(Misconfigured("HTTP 401")), two()
    with rig(tmp_path, (chat, chats)) as bridge:
        bridge.miss("1", "2", "3")
        bridge.settle()
        bridge.miss("4")
        bridge.settle()

        assert chats.call_ids("sales") == ["1", "2", "3", "4"]
        assert bridge.health("chat", "sales") == Health(version=bridge.health("chat", "sales").version)
        assert bridge.health("chat", "boss").paused_by == "misconfigured"
        row = described(bridge, chat)
        assert (row["state"], row["error"], row["waiting"]) == ("paused", "boss: HTTP 401", 4)

        chats.boss = None
        bridge.advance(900)
        assert chats.call_ids("boss") == ["1", "2", "3", "4"]
        assert (described(bridge, chat)["state"], described(bridge, chat)["error"]) == ("active", None)


def test_who_is_told_of_a_paused_target_learns_which_it_is(tmp_path: Path) -> None:
    told = Chat()
    with rig(tmp_path, (two(), Chats(Misconfigured("HTTP 401"))), (connector("told", on=["bridge.*"]), told)) as bridge:
        bridge.miss("1", "2")
        bridge.settle()

        (event,) = bridge.events(CONNECTOR_PAUSED)
        trouble = event.data.trouble  # type: ignore[union-attr]  # an event of the bridge itself
        assert (trouble.connector, trouble.reason) == ("chat", "boss: HTTP 401")
        assert told.types == [CONNECTOR_PAUSED]


def test_the_breaker_of_a_target_that_is_down_opens_for_it_alone(tmp_path: Path) -> None:
    chats, chat = Chats(TemporaryFailure("HTTP 503")), two(breaker={"failures": 2, "cooldown": [30]})
    with rig(tmp_path, (chat, chats)) as bridge:
        bridge.miss("1", "2")
        bridge.settle()
        assert bridge.health("chat", "boss").open_until == START + 30
        assert (described(bridge, chat)["state"], described(bridge, chat)["error"]) == ("open", "boss: HTTP 503")
        bridge.miss("3")
        bridge.settle()

        assert chats.call_ids("sales") == ["1", "2", "3"]
        assert {row["error"] for row in bridge.attempts()} == {None, "boss: HTTP 503"}


def test_a_target_that_hangs_takes_no_thread_of_another(tmp_path: Path) -> None:
    gate = Gate()
    chats = Chats(gate)
    with rig(tmp_path, (two(concurrency=1), chats)) as bridge:
        bridge.miss("1", "2", "3")
        gate.wait_entered()
        eventually(lambda: len(chats.got) == 3, "the deliveries to the other target")
        gate.open()
        bridge.settle()
    assert chats.call_ids("sales") == ["1", "2", "3"]


def test_the_operator_pauses_and_resumes_all_targets_also_one_that_comes_later(tmp_path: Path) -> None:
    chats = Chats(Misconfigured("HTTP 401"))
    with rig(tmp_path, (two(), chats)) as bridge:
        bridge.miss("1")
        bridge.settle()
        bridge.change_health("chat", Health.pause)
        bridge.settle()
        bridge.miss("2")
        bridge.settle()
        assert chats.got == [("sales", "1")]

    chats.boss = None
    more = two("sales", "boss", "desk")
    with rig(tmp_path, (more, chats)) as bridge:
        bridge.settle()
        bridge.miss("3")
        bridge.settle()
        assert chats.got == [("sales", "1")]
        assert described(bridge, more)["error"] == "paused by the operator"
        bridge.change_health("chat", Health.resume)
        bridge.settle()

    assert (chats.call_ids("sales"), chats.call_ids("boss")) == (["1", "2", "3"], ["1", "2", "3"])
    assert chats.call_ids("desk") == ["3"]


def test_dead_deliveries_of_a_connector_are_told_once_an_hour_whichever_target_they_are_of(tmp_path: Path) -> None:
    with rig(tmp_path, (two(on=["call.*"]), Chat(PermanentFailure("HTTP 400")))) as bridge:
        bridge.miss("1")
        bridge.settle()
        bridge.miss("2")
        bridge.settle()
        counts = [event.data.trouble.count for event in bridge.events(DELIVERY_DEAD)]  # type: ignore[union-attr]
        assert sum(counts) in (1, 2)
        bridge.advance(3600)
        later = [event.data.trouble.count for event in bridge.events(DELIVERY_DEAD)]  # type: ignore[union-attr]

    assert len(counts) == 1
    assert (len(later), sum(later)) == (2, 4)


def test_what_waited_for_a_target_whose_address_is_mended_goes_to_the_mended_one(tmp_path: Path) -> None:
    chats = Chats(Misconfigured("HTTP 401"))
    with rig(tmp_path, (two(), chats)) as bridge:
        bridge.miss("1")
        bridge.settle()
    with rig(tmp_path, (two("sales", "boss-2"), chats)) as bridge:
        bridge.store.settle_targets("chat", ("sales", "boss-2"))
        bridge.settle()

    assert sorted(chats.got) == [("boss-2", "1"), ("sales", "1")]


@pytest.mark.parametrize("targets", [("sales",), ("sales", "new", "newer")])
def test_what_waited_for_a_target_that_is_gone_is_given_to_nobody_where_it_is_not_clear_to_whom(
    tmp_path: Path, targets: tuple[str, ...]
) -> None:
    chats = Chats(Misconfigured("HTTP 401"))
    with rig(tmp_path, (two(), chats)) as bridge:
        bridge.miss("1")
        bridge.settle()
    with rig(tmp_path, (two(*targets), chats)) as bridge:
        bridge.store.settle_targets("chat", targets)
        bridge.settle()
        assert chats.got == [("sales", "1")]
        bridge.clock.passed += 24 * 3600 + 1
        bridge.dispatcher._tick()
        assert sorted(bridge.states()) == ["delivered", "expired"]


def test_a_batch_is_of_one_target(tmp_path: Path) -> None:
    chat = Chat(lambda batch: [None] * len(batch))
    kind = {"targets": lambda _: TARGETS, "max_batch": 10}
    with rig(tmp_path, (connector(kind=kind), chat)) as bridge:
        bridge.miss("1", "2", "3")
        bridge.settle()

    assert all(len({delivery.target for delivery in batch}) == 1 for batch in chat.calls)
    assert len(chat.got) == 6


def test_a_kind_that_takes_one_call_at_a_time_has_one_target() -> None:
    kind = ConnectorKind(name="x", create=lambda *_: object(), targets=lambda _: TARGETS, threadsafe=False)
    with pytest.raises(PluginError, match="not threadsafe"):
        _checked_targets(kind, None)
