"""The bridge's own troubles are events, so that somebody is told: dead deliveries, a silent PBX."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import PermanentFailure
from bridge.model import TroubleData
from tests.plugins_for_tests.rig import Chat, connector, rig

REFUSED = PermanentFailure("HTTP 422: no such field", status=422)
WATCH = connector("watch", on=["bridge.*"])


def dead(chat: Chat) -> list[tuple[str | None, int | None]]:
    """Of which connector how many dead deliveries were told."""
    troubles = [one.event.data.trouble for one in chat.got if isinstance(one.event.data, TroubleData)]
    return [(trouble.connector, trouble.count) for trouble in troubles]


def test_a_dead_delivery_is_told_to_whoever_asks_for_it(tmp_path: Path) -> None:
    chat, watch = Chat(REFUSED), Chat()
    with rig(tmp_path, (connector(on=["*"]), chat), (WATCH, watch)) as bridge:
        bridge.miss()
        bridge.settle()

        (delivery,) = watch.got
        assert delivery.event.type == "bridge.delivery_dead"
        assert isinstance(delivery.event.data, TroubleData)
        assert delivery.event.data.trouble.reason == "HTTP 422: no such field"
        assert dead(watch) == [("chat", 1)]
        assert chat.types == ["call.missed"]


def test_dead_deliveries_are_told_once_an_hour_with_their_count(tmp_path: Path) -> None:
    watch = Chat()
    with rig(tmp_path, (connector(), Chat(REFUSED)), (WATCH, watch)) as bridge:
        bridge.miss("1")
        bridge.settle()
        bridge.miss("2", "3", "4")
        bridge.advance(3599)
        assert dead(watch) == [("chat", 1)]
        bridge.advance(1)
        assert dead(watch) == [("chat", 1), ("chat", 3)]
        bridge.advance(2 * 3600)

        assert dead(watch) == [("chat", 1), ("chat", 3)]


@pytest.mark.once
def test_the_hour_counts_for_each_connector(tmp_path: Path) -> None:
    watch = Chat()
    chats = (connector("chat"), Chat(REFUSED)), (connector("crm"), Chat(REFUSED)), (WATCH, watch)
    with rig(tmp_path, *chats) as bridge:
        bridge.miss()
        bridge.settle()

        assert sorted(dead(watch), key=str) == [("chat", 1), ("crm", 1)]


@pytest.mark.once
def test_a_trouble_that_cannot_be_told_makes_no_trouble_of_its_own(tmp_path: Path) -> None:
    watch, other = Chat(REFUSED), Chat()
    chats = (connector(), Chat(REFUSED)), (WATCH, watch), (connector("other", on=["bridge.*"]), other)
    with rig(tmp_path, *chats) as bridge:
        bridge.miss()
        bridge.settle()
        bridge.advance(3600)

        assert bridge.states("watch") == ["dead"]
        assert dead(other) == [("chat", 1)]


@pytest.mark.once
def test_nobody_is_told_of_what_expired(tmp_path: Path) -> None:
    watch = Chat()
    with rig(tmp_path, (connector(max_age="1s"), Chat()), (WATCH, watch)) as bridge:
        bridge.change_health("chat", lambda health: health.pause())
        bridge.settle()
        bridge.miss()
        bridge.advance(3600)

        assert (bridge.states(), watch.got) == (["expired"], [])


def test_a_silent_source_is_told_once_for_each_silence(tmp_path: Path) -> None:
    watch = Chat()
    with rig(tmp_path, (WATCH, watch), silence={"pbx": 7200.0}) as bridge:
        bridge.advance(7200)
        assert watch.got == []
        bridge.advance(1)
        assert watch.types == ["bridge.source_silent"]
        bridge.advance(24 * 3600)
        assert len(watch.got) == 1
        bridge.miss()
        bridge.settle()
        bridge.advance(7201)

        assert watch.types == ["bridge.source_silent"] * 2
        data = watch.got[0].event.data
        assert isinstance(data, TroubleData)
        assert (data.trouble.source, data.trouble.connector) == ("pbx", None)


@pytest.mark.once
def test_a_source_without_a_limit_may_be_silent(tmp_path: Path) -> None:
    watch = Chat()
    with rig(tmp_path, (WATCH, watch)) as bridge:
        bridge.advance(30 * 24 * 3600)

        assert watch.got == []
