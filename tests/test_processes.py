"""Several processes on one store: each does its part, and what some of them leave behind the others do."""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from bridge.cli import main
from bridge.testing import Answer, BridgeProcess, RecordingSink, eventually, recording_sink
from tests.conftest import CALL, MISSED
from tests.plugins_for_tests.cluster import Cluster

ENDINGS = ("call.completed", "call.missed", "call.unanswered")
CALLS = 40
SENDERS = 4


def webhooks(url: str) -> str:
    return "".join(
        f'[connectors.{name}]\nkind = "webhook"\non = ["*"]\nurl = "{url}/{name}"\nbreaker = {{failures = 0}}\n'
        'retry = {schedule = ["0.2s", "0.5s", "1s", "1s", "1s", "1s"]}\n'
        for name in ("desk", "chat")
    )


class Hosts:
    """Bridges on one store, each on a port of its own."""

    def __init__(self, folder: Path, config: str, store: str | None) -> None:
        self._folder = folder
        self._config = config
        self._store = store or f"sqlite:///{folder / 'shared.db'}"
        self._numbers = itertools.count(1)
        self.all: list[BridgeProcess] = []

    def add(self, *options: str) -> BridgeProcess:
        """One more, `serve` with these options; it may not be ready yet."""
        folder = self._folder / f"host{next(self._numbers)}"
        bridge = BridgeProcess(folder, self._config, store=self._store, options=options)
        self.all.append(bridge)
        bridge.start(until_ready=False)
        return bridge


@contextmanager
def hosts(folder: Path, config: str, store: str | None = None) -> Iterator[Hosts]:
    them = Hosts(folder, config, store)
    try:
        yield them
    finally:
        for bridge in them.all:
            bridge.close()


def test_of_four_hosts_two_are_killed_and_one_comes_and_nothing_is_lost_nor_ends_twice(
    cluster: Cluster, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        sink = stack.enter_context(recording_sink())
        sink.answer_with(Answer(200, b"", delay=0.01))
        them = stack.enter_context(hosts(tmp_path, webhooks(sink.url), cluster.new_database()))
        doomed, takes = them.add("--role", "intake"), them.add()
        works, doomed_too = them.add("--role", "worker", "--connectors", "desk"), them.add("--role", "worker")
        for bridge in them.all:
            bridge.wait_ready()
        assert works.post("/event", MISSED).status_code == 404
        assert works.get("/healthz").text == "ok"
        assert "callbridge_deliveries_waiting" in works.get("/metrics").text

        posts = Posts([doomed, takes])
        stack.callback(posts.stop)
        posts.begin()
        eventually(lambda: len(sink.arrivals) > CALLS // 2, "some deliveries")
        doomed.kill()
        doomed_too.kill()
        them.add()
        posts.finish()

        eventually(lambda: not lost(posts.taken, sink), "every delivery")
        endings = ended(sink)
        assert {call for call, kind in posts.taken if kind == "hangup"} == endings.keys()
        assert {len(events) for events in endings.values()} == {1}
        for path in ("/desk", "/chat"):
            assert all(kinds[0] == "call.ringing" for kinds in in_order(sink, path).values())


class Posts:
    """Posts of calls, sent by several at once to any host that is there; `taken` are those that were answered 200."""

    def __init__(self, bridges: list[BridgeProcess]) -> None:
        self._bridges = bridges
        self._calls = iter([f"call-{number}" for number in range(CALLS)])
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(SENDERS)]
        self._lock = threading.Lock()
        self.taken: set[tuple[str, str]] = set()

    def begin(self) -> None:
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        for thread in self._threads:
            thread.join(30)

    def stop(self) -> None:
        self._calls = iter([])
        self.finish()

    def _send(self, number: int) -> None:
        while True:
            with self._lock:
                call = next(self._calls, None)
            if call is None:
                return
            self._post(number, CALL | {"event_type": "ringing"}, call)
            # Two hosts hear of the end at the same time.
            other = threading.Thread(target=self._post, args=(number + 1, MISSED | {"queue": "1"}, call))
            other.start()
            self._post(number, MISSED, call)
            other.join()

    def _post(self, number: int, form: dict[str, str], call: str) -> None:
        for attempt in range(20):
            bridge = self._bridges[(number + attempt) % len(self._bridges)]
            try:
                if bridge.post("/event", form | {"call_uuid": call}).status_code == 200:
                    self.taken.add((call, form["event_type"]))
                    return
            except requests.RequestException:
                pass
        raise AssertionError(f"nobody takes {call}")


def events(sink: RecordingSink) -> Iterator[tuple[str, Any]]:
    """What has arrived so far, with its path. Who is killed may have sent half a request."""
    for arrival in list(sink.arrivals):
        with suppress(ValueError):
            yield arrival.path, arrival.json()


def lost(taken: set[tuple[str, str]], sink: RecordingSink) -> set[tuple[str, str, str]]:
    """What was taken and has not arrived (yet): the path, the call and what happened in it."""
    kinds = {"call.ringing": "ringing"} | dict.fromkeys(ENDINGS, "hangup")
    arrived = {(path, event["data"]["call"]["id"], kinds.get(event["type"], "")) for path, event in events(sink)}
    return {(path, *one) for path in ("/desk", "/chat") for one in taken} - arrived


def in_order(sink: RecordingSink, path: str) -> dict[str, list[str]]:
    """By call: the types of the events that have arrived at a path, as they came."""
    kinds = defaultdict(list)
    for to, event in events(sink):
        if to == path:
            kinds[event["data"]["call"]["id"]].append(event["type"])
    return kinds


def ended(sink: RecordingSink) -> dict[str, set[str]]:
    """By call: the ids of the events that ended it."""
    endings = defaultdict(set)
    for _, event in events(sink):
        if event["type"] in ENDINGS:
            endings[event["data"]["call"]["id"]].add(event["id"])
    return endings


def test_one_process_takes_what_another_one_delivers_from_the_same_sqlite_file(tmp_path: Path) -> None:
    with recording_sink() as sink, hosts(tmp_path, webhooks(sink.url)) as them:
        takes, works = them.add("--role", "intake"), them.add("--role", "worker", "--connectors", "chat")
        for bridge in them.all:
            bridge.wait_ready()
        assert takes.post("/event", MISSED | {"call_uuid": "1"}).status_code == 200
        (arrival,) = sink.wait_for(1, within=2)
        assert arrival.path == "/chat"
        assert {row["connector"]: row["state"] for row in works.rows("deliveries")}["desk"] == "pending"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--role", "intake", "--connectors", "desk"], 2, "--role intake delivers to no connector"),
        (["--connectors", "desk,nobody"], 1, "connectors.nobody: is not configured; there are: chat, desk"),
        (["--role", "boss"], 2, "'boss' is not one of"),
    ],
)
def test_a_duty_that_cannot_be_done_is_refused(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    config = tmp_path / "bridge.toml"
    config.write_text(webhooks("http://127.0.0.1:9"), "utf-8")
    done = CliRunner().invoke(main, ["serve", *words, "--config", str(config)])
    assert (done.exit_code, said in done.stderr) == (code, True)
