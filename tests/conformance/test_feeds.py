"""Feeds that several processes publish in and read on from."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from bridge.store import Database
from bridge.store.feeds import Beside, Feeds
from bridge.testing import eventually


def migrated(url: str) -> None:
    database = Database(url)
    database.migrate()
    database.close()


def test_who_reads_on_while_several_processes_publish_misses_nothing(store_url: str) -> None:
    migrated(store_url)
    stores = [Beside(store_url) for _ in range(4)]
    feeds = [Feeds(store).of("wall") for store in stores]
    began = feeds[0].last_id()
    done = threading.Event()

    def publish(number: int) -> None:
        for n in range(15):
            feeds[number].publish("a", {"n": number * 100 + n}, keep=None)

    def read_on() -> list[int]:
        seen: list[int] = []
        after = began
        while True:
            is_last = done.is_set()
            for item in feeds[3].read(["a"], after):
                seen.append(item.data["n"])
                after = item.id
            if is_last:
                return seen

    with ThreadPoolExecutor(4) as pool:
        reading = pool.submit(read_on)
        list(pool.map(publish, range(3)))
        done.set()
        assert sorted(reading.result(20)) == [number * 100 + n for number in range(3) for n in range(15)]
    for store in stores:
        store.close()


def test_who_waits_is_woken_by_what_another_process_publishes(store_url: str) -> None:
    migrated(store_url)
    store, other = Beside(store_url), Beside(store_url)
    feeds = Feeds(store, is_told=True)
    woken = ThreadPoolExecutor(1)
    waiting = woken.submit(feeds.of("wall").wait, ["a"], 0, 20.0)
    eventually(lambda: feeds._waiting, "who waits")
    heard = Database(store_url)
    watch = heard.watch(lambda *_: feeds.look())
    watch.start()
    Feeds(other).of("wall").publish("a", {}, keep=None)
    if heard.dialect.is_polled:
        feeds.look()
    assert waiting.result(5)
    watch.stop()
    heard.close()
    store.close()
    other.close()
    woken.shutdown()
