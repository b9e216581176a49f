"""A real bridge and real HTTP: refusals, slow and dead receivers, and what stops or kills the process."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from bridge.testing import Answer, Arrival, BridgeProcess, RecordingSink, eventually, recording_sink, running_bridge
from tests.plugins_for_tests.install import install

MISSED = {
    "event_type": "hangup",
    "domain_id": "101",
    "direction": "inbound",
    "caller_id_number": "02123205062",
    "destination_number": "1001",
    "dialed_user": "1001",
    "connected_user": "",
    "answer_stamp": "",
    "hangup_cause": "ORIGINATOR_CANCEL",
}

QUICK = "retry = {schedule = ['0.1s', '0.1s', '0.1s'], jitter = 0}\nbreaker = {failures = 0}"


@pytest.fixture
def sink() -> Iterator[RecordingSink]:
    with recording_sink() as one:
        yield one


def hook(name: str, url: str, keys: str = QUICK, on: str = "call.*") -> str:
    """The config of a webhook connector."""
    return f'[connectors.{name}]\nkind = "webhook"\non = ["{on}"]\nurl = "{url}"\n{keys}\n'


def miss(bridge: BridgeProcess, *call_ids: str) -> None:
    """Missed calls, posted and taken."""
    for call_id in call_ids:
        answer = bridge.post("/event", MISSED | {"call_uuid": call_id})
        assert (answer.status_code, answer.text) == (200, call_id)


def call_of(arrival: Arrival) -> str:
    return str(arrival.json()["data"]["call"]["id"])


def deliveries(bridge: BridgeProcess, name: str) -> list[dict[str, Any]]:
    """The deliveries of a connector, read from the store beside the bridge."""
    with sqlite3.connect(bridge.database) as connection:
        connection.row_factory = sqlite3.Row
        rows = connection.execute("SELECT * FROM deliveries WHERE connector = ? ORDER BY rowid", (name,)).fetchall()
    connection.close()
    return [dict(row) for row in rows]


def states(bridge: BridgeProcess, name: str) -> list[str]:
    return [row["state"] for row in deliveries(bridge, name)]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def runs(pid: int) -> bool:
    """Whether a process is there and is no zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def within(seconds: float, look: Callable[[], object], what: str) -> None:
    """`look` must become true, and not much later than `seconds`, however busy the machine is."""
    began = time.monotonic()
    eventually(look, what)
    assert time.monotonic() - began < seconds, f"{what} took {time.monotonic() - began:.1f} s"


# --- refusals -----------------------------------------------------------------------------------------------------


def test_missed_calls_arrive_though_the_first_tries_are_refused(tmp_path: Path, sink: RecordingSink) -> None:
    refusals: dict[str, list[Answer]] = {}

    def refuse_twice(arrival: Arrival) -> Answer:
        left = refusals.setdefault(
            arrival.headers["webhook-id"], [Answer(503), Answer(429, headers={"Retry-After": "0"})]
        )
        return left.pop() if left else Answer()

    sink.answer_with(refuse_twice)
    with running_bridge(tmp_path, hook("chat", sink.url)) as bridge:
        miss(bridge, "1", "2", "3")
        arrivals = sink.wait_for(9)
        eventually(lambda: states(bridge, "chat") == ["delivered"] * 3)

        for call_id in ("1", "2", "3"):
            tries = [arrival for arrival in arrivals if call_of(arrival) == call_id]
            assert len(tries) == 3
            assert len({(one.headers["webhook-id"], one.body) for one in tries}) == 1
        assert {row["attempts"] for row in deliveries(bridge, "chat")} == {3}
        with sqlite3.connect(bridge.database) as connection:
            kept = connection.execute("SELECT number, status, outcome FROM attempts ORDER BY delivery_id, number")
            assert sorted(set(kept)) == [(1, 429, "temporary"), (2, 503, "temporary"), (3, 200, "delivered")]
        connection.close()


def test_every_kind_of_answer_is_judged_by_its_status(tmp_path: Path, sink: RecordingSink) -> None:
    temporary, refused = (408, 425, 429, 500, 502, 503, 504, 599), (300, 301, 302, 307, 400, 404, 405, 409, 413, 422)
    sink.answer_with(
        lambda arrival: Answer(
            int(arrival.path.strip("/")), b"the words of the other side", {"Location": f"{sink.url}/200"}
        )
    )
    once = "retry = {schedule = ['10h']}"
    config = "".join(hook(f"s{status}", f"{sink.url}/{status}", once) for status in (*temporary, *refused))
    with running_bridge(tmp_path, config) as bridge:
        miss(bridge, "1")
        sink.wait_for(len(temporary) + len(refused))
        for status in temporary:
            eventually(lambda status=status: deliveries(bridge, f"s{status}")[0]["attempts"] == 1)
            assert states(bridge, f"s{status}") == ["pending"], status
        for status in refused:
            eventually(lambda status=status: states(bridge, f"s{status}") == ["dead"], f"the end of {status}")
            assert str(status) in deliveries(bridge, f"s{status}")[0]["last_error"]

        assert "/200" not in {arrival.path for arrival in sink.arrivals}


def test_wrong_credentials_are_told_to_another_connector_and_a_resume_delivers_within_a_second(
    tmp_path: Path, sink: RecordingSink
) -> None:
    refuse = {"/chat": 401}
    sink.answer_with(lambda arrival: Answer(refuse.get(arrival.path, 200)))
    with running_bridge(
        tmp_path, hook("chat", f"{sink.url}/chat") + hook("watch", f"{sink.url}/watch", on="bridge.*")
    ) as bridge:
        miss(bridge, "1", "2")
        told = eventually(lambda: [one for one in list(sink.arrivals) if one.path == "/watch"])
        assert told[0].json()["type"] == "bridge.connector_paused"
        assert told[0].json()["data"]["trouble"]["connector"] == "chat"
        assert bridge.get("/readyz").json()["paused"].keys() == {"chat"}
        miss(bridge, "3")
        assert states(bridge, "chat") == ["pending"] * 3

        refuse.clear()
        assert bridge.run("connectors", "resume", "chat").returncode == 0
        within(2, lambda: states(bridge, "chat") == ["delivered"] * 3, "the delivery after the resume")
        assert len([one for one in sink.arrivals if one.path == "/watch"]) == 1


# --- slow and dead receivers --------------------------------------------------------------------------------------


@contextmanager
def listener(answer: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """A server that does as `answer` says with each connection until the test is over; gives its URL."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:

        def serve() -> None:
            while not over.is_set():
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=talk, args=(client,), daemon=True).start()

        def talk(client: socket.socket) -> None:
            with client, suppress(OSError):  # the bridge has hung up
                answer(client, over)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        over.set()
        server.shutdown(socket.SHUT_RDWR)


def say_nothing(client: socket.socket, over: threading.Event) -> None:
    over.wait(60)


def drip(text: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """A little of an answer every tenth of a second, for ever."""

    def answer(client: socket.socket, over: threading.Event) -> None:
        client.sendall(text)
        while not over.wait(0.1):
            client.sendall(b"x")

    return answer


def test_receivers_that_say_nothing_or_drip_hold_their_own_slot_for_the_timeout_and_nobody_else(
    tmp_path: Path, sink: RecordingSink
) -> None:
    slots = "timeout = '1s'\nconcurrency = 1\nretry = {schedule = []}\nbreaker = {failures = 0}"
    headers, body = drip(b"HTTP/1.1 200 OK\r\nX-Slow: "), drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
    with listener(say_nothing) as hole, listener(headers) as slow_headers, listener(body) as slow_body:
        bad = {"hole": hole, "slow_headers": slow_headers, "slow_body": slow_body}
        config = "".join(hook(name, url, slots) for name, url in bad.items()) + hook("good", sink.url)
        with running_bridge(tmp_path, config) as bridge:
            began = time.monotonic()
            for number in range(3):
                posted = time.monotonic()
                miss(bridge, str(number))
                assert sink.wait_for(number + 1)[-1].at - posted < 1
            for name in bad:
                eventually(lambda name=name: states(bridge, name) == ["dead"] * 3, f"the end of {name}")
            took = time.monotonic() - began

    assert 3 <= took < 8  # three in a row, a second each


# --- stopping and killing -----------------------------------------------------------------------------------------


def test_sigterm_lets_a_delivery_under_way_end_and_exits_with_0(tmp_path: Path, sink: RecordingSink) -> None:
    sink.answer_with(Answer(delay=1.0))
    with running_bridge(tmp_path, hook("chat", sink.url)) as bridge:
        miss(bridge, "1")
        sink.wait_for(1)
        began = time.monotonic()

        assert bridge.stop() == 0
        assert time.monotonic() - began < 10
        assert states(bridge, "chat") == ["delivered"]


def test_sigterm_does_not_wait_for_a_delivery_longer_than_10_seconds_and_repeats_it_after_the_restart(
    tmp_path: Path, sink: RecordingSink
) -> None:
    sink.answer_with([Answer(delay=30.0), Answer()])
    with running_bridge(tmp_path, hook("chat", sink.url, "timeout = '60s'")) as bridge:
        miss(bridge, "1")
        sink.wait_for(1)
        began = time.monotonic()
        assert bridge.stop() == 0
        assert time.monotonic() - began < 10
        bridge.start()
        first, second = sink.wait_for(2)

        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        eventually(lambda: states(bridge, "chat") == ["delivered"])


def test_sigterm_does_not_wait_for_a_client_that_has_sent_half_a_post(tmp_path: Path, sink: RecordingSink) -> None:
    with (
        running_bridge(tmp_path, hook("chat", sink.url)) as bridge,
        socket.create_connection(("127.0.0.1", bridge.port)) as half,
    ):
        half.sendall(b"POST /event HTTP/1.1\r\nHost: bridge\r\nContent-Length: 100\r\n\r\ncall_uuid=")
        miss(bridge, "1")  # by now the bridge reads the other post
        began = time.monotonic()

        assert bridge.stop() == 0
        assert time.monotonic() - began < 5


def test_ctrl_c_which_reaches_every_process_ends_it_as_quickly(tmp_path: Path, sink: RecordingSink) -> None:
    with running_bridge(tmp_path, hook("chat", sink.url)) as bridge:
        miss(bridge, "1")
        sink.wait_for(1)
        began = time.monotonic()
        for pid in (bridge.pid, *children(bridge.pid)):
            os.kill(pid, signal.SIGINT)

        assert bridge.wait() == 0
        assert time.monotonic() - began < 5
        assert states(bridge, "chat") == ["delivered"]


def test_signals_that_come_all_at_once_end_it_as_quickly(tmp_path: Path, sink: RecordingSink) -> None:
    with running_bridge(tmp_path, hook("chat", sink.url)) as bridge:
        began = time.monotonic()
        for number in (signal.SIGINT, signal.SIGTERM) * 50:
            bridge.signal(number)

        assert bridge.wait() == 0
        assert time.monotonic() - began < 5


def test_after_kill_9_nothing_serves_any_more_and_what_was_under_way_is_delivered_at_the_restart(
    tmp_path: Path, sink: RecordingSink
) -> None:
    sink.answer_with(lambda _: Answer(delay=20.0 if len(sink.arrivals) <= 2 else 0.0))
    with running_bridge(tmp_path, hook("chat", sink.url, "timeout = '60s'\nconcurrency = 2")) as bridge:
        miss(bridge, "1", "2", "3")
        sink.wait_for(2)
        workers = children(bridge.pid)
        assert workers
        bridge.kill()

        eventually(lambda: not any(map(runs, workers)), "the end of the workers", within=2)
        with pytest.raises(requests.ConnectionError):
            bridge.get("/healthz")
        bridge.start()
        within(5, lambda: states(bridge, "chat") == ["delivered"] * 3, "the delivery of what was under way")
        assert {call_of(arrival) for arrival in sink.arrivals[2:]} == {"1", "2", "3"}


def test_a_worker_that_is_killed_is_started_again_and_nothing_is_lost(tmp_path: Path, sink: RecordingSink) -> None:
    sink.answer_with(lambda _: Answer(delay=20.0 if len(sink.arrivals) == 1 else 0.0))
    with running_bridge(tmp_path, hook("chat", sink.url, "timeout = '60s'")) as bridge:
        miss(bridge, "1")
        sink.wait_for(1)
        (worker,) = children(bridge.pid)
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: [one for one in children(bridge.pid) if one != worker], "the next worker")
        eventually(lambda: states(bridge, "chat") == ["delivered"], "the delivery of what was under way")
        miss(bridge, "2")
        eventually(lambda: states(bridge, "chat") == ["delivered"] * 2)

        began = time.monotonic()
        assert bridge.stop() == 0
        assert time.monotonic() - began < 5


def test_a_worker_that_is_told_to_end_is_started_again_and_delivers(tmp_path: Path, sink: RecordingSink) -> None:
    with running_bridge(tmp_path, hook("chat", sink.url)) as bridge:
        (worker,) = children(bridge.pid)
        os.kill(worker, signal.SIGTERM)
        eventually(lambda: [one for one in children(bridge.pid) if one != worker], "the next worker")
        eventually(lambda: bridge._is_ready(), "the next worker's start")
        miss(bridge, "1")

        sink.wait_for(1)


# --- plugins of somebody else -------------------------------------------------------------------------------------

MOODY = """
    import threading
    from pathlib import Path
    from pydantic import BaseModel
    from bridge import ConnectorKind, hookimpl

    class Options(BaseModel):
        mood: str
        diary: Path

    class Moody:
        def __init__(self, options, context):
            self.options = options

        def note(self, text):
            with self.options.diary.open("a") as file:
                print(self.options.mood, text, file=file)

        @hookimpl
        def bridge_start(self):
            self.note("starts")
            if self.options.mood == "sulks":
                raise SystemExit("not today")

        @hookimpl
        def bridge_deliver(self, delivery):
            if self.options.mood == "exits":
                raise SystemExit(1)
            if self.options.mood == "hangs":
                threading.Event().wait()
            self.note("delivers")

        @hookimpl
        def bridge_stop(self):
            self.note("stops")

    @hookimpl
    def bridge_connectors():
        return [ConnectorKind(name="moody", create=Moody, settings=Options, timeout=0.5, retry_schedule=())]
"""


def test_plugins_that_exit_hang_or_cannot_be_imported_are_not_felt_by_another(
    tmp_path: Path, sink: RecordingSink
) -> None:
    install(tmp_path, "moody", MOODY)
    install(tmp_path, "broken", "raise SystemExit(7)")
    diary = tmp_path / "diary.txt"
    moods = "".join(
        f'[connectors.{mood}]\nkind = "moody"\non = ["call.*"]\nmood = "{mood}"\ndiary = "{diary}"\n'
        for mood in ("exits", "hangs", "sulks", "works")
    )
    config = moods + '[connectors.broken]\nkind = "broken"\non = ["call.*"]\n' + hook("good", sink.url)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    with running_bridge(tmp_path, config, environ={"PYTHONPATH": path}) as bridge:
        posted = time.monotonic()
        miss(bridge, "1")
        assert sink.wait_for(1)[0].at - posted < 1
        eventually(lambda: states(bridge, "works") == ["delivered"])
        eventually(lambda: states(bridge, "exits") == ["dead"])
        eventually(lambda: states(bridge, "hangs") == ["dead"], "the end of the call that hangs")
        assert "SystemExit" in deliveries(bridge, "exits")[0]["last_error"]
        assert "did not return" in deliveries(bridge, "hangs")[0]["last_error"]
        assert states(bridge, "broken") == states(bridge, "sulks") == ["pending"]
        ready = bridge.get("/readyz")
        assert ready.status_code == 200
        failed = ready.json()["failed"]
        assert failed.keys() == {"broken", "sulks"}
        assert "callbridge-test-broken" in failed["broken"]

        assert bridge.stop() == 0
    lines = diary.read_text().splitlines()
    assert sorted(lines) == sorted(
        ["works delivers"]
        + [f"{mood} {what}" for mood in ("exits", "hangs", "sulks", "works") for what in ("starts", "stops")]
    )
