"""The feed a connector gets: durable, read on from an id, waited for; in memory and in a store it behaves the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from bridge import BridgeError, Feed
from bridge.memory import MemoryFeed
from bridge.store import Database, channels, schema
from bridge.store.feeds import Beside, Feeds
from bridge.testing import eventually

NOW = 1_790_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_feeds(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Feeds]]:
    """Opens the feeds of one store, each as a process of its own would."""
    opened: list[Beside] = []

    def open_one(**options: Any) -> Feeds:
        opened.append(Beside(f"sqlite:///{tmp_path / 'store.db'}"))
        return Feeds(opened[-1], clock, **options)

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture(params=["memory", "store"])
def feed(request: pytest.FixtureRequest, open_feeds: Callable[..., Feeds], clock: Clock) -> Feed:
    return MemoryFeed(clock) if request.param == "memory" else open_feeds().of("wall")


def shown(feed: Feed, *of: str, **options: Any) -> list[Any]:
    return [item.data["n"] for item in feed.read(of, **options)]


def rows(feeds: Feeds) -> int:
    with feeds._access.reading() as connection:
        return connection.execute(select(func.count()).select_from(schema.feed)).scalar_one()


# --- in memory and in a store -------------------------------------------------------------------------------------


def test_what_is_published_is_read_in_order_from_an_id_on(feed: Feed) -> None:
    ids = [feed.publish(channel, {"n": n}, keep=None) for n, channel in enumerate(["a", "b", "a", "c"])]

    assert ids == sorted(set(ids))
    assert shown(feed, "a", "b") == [0, 1, 2]
    assert shown(feed, "a", "b", after=ids[0]) == [1, 2]
    assert shown(feed, "a", "b", limit=1) == [0]
    assert shown(feed, "nobody's") == shown(feed) == []
    assert feed.last_id() == ids[-1]


def test_an_item_says_when_and_where_it_was_published_and_what(feed: Feed) -> None:
    data = {"who": "Ayşe <b>", "calls": [1, None, {"x": 1.5}]}
    feed.publish("kanal ü", data, keep=5)

    (item,) = feed.read(["kanal ü"])
    assert (item.channel, item.data, item.published_at.timestamp()) == ("kanal ü", data, NOW)
    assert item.published_at.utcoffset() is not None


def test_what_is_too_old_is_read_by_nobody_and_what_has_no_age_stays(feed: Feed, clock: Clock) -> None:
    feed.publish("a", {"n": "short"}, keep=10)
    feed.publish("a", {"n": "for ever"}, keep=None)
    clock.now += 10

    assert shown(feed, "a") == ["for ever"]
    assert not feed.wait(["a"], feed.last_id(), 0)


def test_what_is_removed_is_gone_and_the_channel_can_be_used_again(feed: Feed) -> None:
    last = [feed.publish(channel, {"n": channel}, keep=None) for channel in ("a", "b")][-1]
    feed.remove("a")
    assert shown(feed, "a", "b") == ["b"]
    assert feed.publish("a", {"n": "new"}, keep=None) > last

    assert shown(feed, "a", "b") == ["b", "new"]


@pytest.mark.parametrize("data", [{"x": float("nan")}, {"x": object()}, ["no mapping"]], ids=["nan", "object", "list"])
def test_what_is_no_json_object_is_refused(feed: Feed, data: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        feed.publish("a", data, keep=None)
    assert feed.read(["a"]) == []


@pytest.mark.parametrize("after", [-5, 2**70])
def test_an_id_that_a_stranger_made_up_does_no_harm(feed: Feed, after: int) -> None:
    feed.publish("a", {"n": 1}, keep=None)

    assert shown(feed, "a", after=after) == ([1] if after < 0 else [])
    assert feed.wait(["a"], after, 0) is (after < 0)


def test_who_waits_is_woken_by_his_channels_alone(feed: Feed) -> None:
    woken: list[bool] = []
    waiting = threading.Thread(target=lambda: woken.append(feed.wait(["b", "c"], 0, 20)))
    waiting.start()
    feed.publish("a", {}, keep=None)
    assert not woken
    feed.publish("b", {}, keep=None)
    waiting.join(10)

    assert woken == [True]
    assert feed.wait(["b"], 0, 20)
    assert not feed.wait(["a"], feed.last_id(), 0.01)


# --- in a store ---------------------------------------------------------------------------------------------------


def test_each_connector_has_a_feed_of_its_own(open_feeds: Callable[..., Feeds]) -> None:
    feeds = open_feeds()
    feeds.of("wall").publish("a", {"n": 1}, keep=None)
    feeds.of("door").remove("a")

    assert shown(feeds.of("wall"), "a") == [1]
    assert shown(feeds.of("door"), "a") == []


def test_ids_grow_across_processes_and_what_was_published_outlives_them(open_feeds: Callable[..., Feeds]) -> None:
    ids = [open_feeds().of("wall").publish("a", {"n": n}, keep=None) for n in range(3)]

    assert ids == sorted(set(ids))
    assert shown(open_feeds().of("wall"), "a") == [0, 1, 2]


def test_what_another_process_publishes_wakes_who_looks_himself_within_a_moment(
    open_feeds: Callable[..., Feeds],
) -> None:
    here, there = open_feeds().of("wall"), open_feeds().of("wall")
    after = here.publish("a", {}, keep=None)
    woken: list[float] = []
    waiting = threading.Thread(target=lambda: here.wait(["a"], after, 20) and woken.append(time.monotonic()))
    waiting.start()
    began = time.monotonic()
    there.publish("a", {}, keep=None)
    waiting.join(10)

    assert woken[0] - began < 1


def test_hundreds_wait_on_a_notice_and_nobody_of_them_looks_meanwhile(open_feeds: Callable[..., Feeds]) -> None:
    feeds, others = open_feeds(is_told=True), open_feeds()
    after = feeds.of("wall").publish("0", {}, keep=None)
    woken: list[int] = []

    def wait(number: int) -> None:
        if feeds.of("wall").wait([str(number)], after, 20):
            woken.append(number)

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(300)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(feeds._waiting) == 300, "the waiting of all")
    others.of("wall").publish("7", {}, keep=None)
    assert woken == []
    feeds.look()
    eventually(lambda: woken == [7], "the waking of the one")
    feeds.close()
    for thread in threads:
        thread.join(10)

    assert woken == [7]
    assert not feeds._waiting
    assert not feeds.of("wall").wait(["8"], after, 20)


def test_what_is_too_old_is_swept_away_but_for_the_newest_so_that_no_remembered_id_is_ahead(
    open_feeds: Callable[..., Feeds], clock: Clock
) -> None:
    feeds = open_feeds()
    wall = feeds.of("wall")
    kept = wall.publish("kept", {"n": 1}, keep=None)
    last = [wall.publish("a", {}, keep=5) for _ in range(10)][-1]
    feeds.sweep()
    clock.now += 60
    feeds.sweep()

    assert rows(feeds) == 2
    assert wall.last_id() == open_feeds().of("wall").last_id() == last
    assert shown(wall, "kept", after=kept - 1) == [1]
    assert wall.publish("a", {}, keep=5) > last


def test_a_great_deal_is_swept_away_in_pieces(
    open_feeds: Callable[..., Feeds], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "CHUNK", 4)
    feeds = open_feeds()
    for _ in range(10):
        feeds.of("wall").publish("a", {}, keep=5)
    clock.now += 60
    left = []
    for _ in range(4):
        feeds.sweep()
        left.append(rows(feeds))

    assert left == [6, 2, 1, 1]


def test_a_store_that_cannot_be_used_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_text("dear diary " * 1000)
    feed = Feeds(Beside(f"sqlite:///{tmp_path / 'store.db'}")).of("wall")

    with pytest.raises(BridgeError, match="file is not a database"):
        feed.publish("a", {}, keep=None)


def test_reading_a_channel_uses_its_index_whatever_else_the_feed_holds(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'store.db'}")
    database.migrate()
    with database.reader.begin() as connection:
        query = schema.feed.select().where(channels._readable("wall", ["a", "b"], 5, NOW))
        compiled = query.compile(connection, compile_kwargs={"literal_binds": True})
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}").fetchall()
    database.close()

    assert "feed_by_channel (connector=? AND channel=? AND id>?)" in str(plan)
