"""Measures the agents' screens: how fast a ringing phone is on them, and what open streams cost the rest.

A real bridge with the popup, on SQLite; every agent has a grant and a stream of its own, and each ringing is for one of
them. Posts are paced, and a card's time counts from the moment its post was to be sent to the moment its bytes were
read. Like `run.py` a measurement and no test: `python tests/bench/screens.py` ends with 0 whatever it finds.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Thread

import requests
from callbridge_popup import grants
from callbridge_popup.hub import GRANTS
from load import Order, Report
from processes import cpu_seconds, family, pss_megabytes
from rich.console import Console
from rich.table import Table

from bridge.store.feeds import Beside, Feeds
from bridge.testing import BridgeProcess

HERE = Path(__file__).parent
TOKEN = "bench-token"
CONFIG = f"""
[intake]
tokens = ["{TOKEN}"]
[connectors.screens]
kind = "popup"
on = ["call.*", "leg.ended"]
streams = STREAMS
"""
CORES = 2
FIRST = 5000
"""The extension of the first agent. The load's calls are at others, so that what it shows is what open streams cost."""
RINGINGS_A_SECOND = 50
CONNECTIONS = 8
"""Of the PBX: a post that waits for its answer does not delay the next one."""


class Watchers:
    """Open streams, all read by one thread; `seen` has when each ringing card came, by call id."""

    def __init__(self, port: int, tokens: Sequence[str]) -> None:
        self.seen: dict[str, tuple[str, float]] = {}
        self.opened = 0
        self._selector = selectors.DefaultSelector()
        self._port = port
        for token in tokens:
            self._selector.register(self._open(token), selectors.EVENT_READ, bytearray())
        self._stopping = False
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hang up everywhere."""
        self._stopping = True
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]  # a socket

    def _open(self, token: str) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self._port))
        login = f"GET /popup/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
        connection.sendall(login.encode())
        return connection

    def _read(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select(0.05):
                now = time.monotonic()
                data = key.fileobj.recv(65536)  # type: ignore[union-attr]  # a socket
                key.data.extend(data)
                self._take(key.data, now)

    def _take(self, received: bytearray, now: float) -> None:
        while (end := received.find(b"\n\n")) >= 0:
            event = bytes(received[:end])
            del received[: end + 2]
            data = event.rpartition(b"data: ")[2]
            if b"event: hello" in event:
                self.opened += 1
            elif b"event: call" in event and b'"state": "ringing"' in data:
                card = json.loads(data)
                self.seen.setdefault(card["call_id"], (card["extension"], now))


class Measurement:
    """What was measured gathers in `rows`: what, result, goal, whether it was reached."""

    def __init__(self, bridge: BridgeProcess, seconds: float) -> None:
        self.rows: list[tuple[str, str, str, bool | None]] = []
        self._bridge = bridge
        self._seconds = seconds
        self._event = f"{bridge.url}/event/{TOKEN}"

    def ring(self, watchers: Watchers, agents: int, streams: int) -> None:
        """How long from the post of a ringing to the card on the one right screen."""
        sent: dict[str, tuple[str, float]] = {}
        start = time.monotonic() + 0.05

        def post_every(first: int) -> None:
            session = requests.Session()
            for number in range(first, int(RINGINGS_A_SECOND * self._seconds), CONNECTIONS):
                due = start + number / RINGINGS_A_SECOND
                time.sleep(max(0.0, due - time.monotonic()))
                call_id, extension = f"ring-{streams}-{number}", str(FIRST + number % agents)
                sent[call_id] = (extension, due)
                form = {"event_type": "ringing", "call_uuid": call_id, "dialed_user": extension, "direction": "inbound"}
                session.post(self._event, {**form, "caller_id_number": f"0532{number:07}"}, timeout=10)

        with ThreadPoolExecutor(CONNECTIONS) as threads:
            list(threads.map(post_every, range(CONNECTIONS)))
        time.sleep(2)
        took = [watchers.seen[call][1] - due for call, (_, due) in sent.items() if call in watchers.seen]
        astray = sum(watchers.seen[call][0] != place for call, (place, _) in sent.items() if call in watchers.seen)
        missing = len(sent) - len(took)
        lost = f", {missing} MISSING, {astray} ASTRAY" if missing or astray else ""
        what = f"post to card, {RINGINGS_A_SECOND} ringings/s, {agents} agents, {streams} streams"
        reached = _p99(took) < 0.25 and not lost
        self.rows.append((what, _spread(took) + lost, "p99 < 250 ms", reached))

    def load(self, what: str) -> None:
        """What the intake does, saturated and at a steady pace, and how another page answers meanwhile."""
        for rate in (None, 200.0):
            order = Order(self._bridge.port, f"/event/{TOKEN}", 16 if rate is None else 32, self._seconds, rate)
            before = cpu_seconds(family(self._bridge.pid))
            with ThreadPoolExecutor(1) as thread:
                under_way = thread.submit(_load, order)
                page = self._look_until(under_way)
            report = under_way.result()
            cpu = cpu_seconds(family(self._bridge.pid)) - before
            refused = f", {report.refused} REFUSED" if report.refused else ""
            pace = f"{len(report.latencies) / report.seconds:,.0f}/s acknowledged, 16 connections"
            named = pace if rate is None else "acknowledged at 200/s"
            result = f"{_spread(report.latencies)}, {cpu / report.seconds:.0%} of a core{refused}"
            self.rows.append((f"{what}: {named}", result, "", None))
            self.rows.append((f"{what}: /healthz meanwhile", _spread(page), "", None))

    def rest(self, what: str) -> None:
        """Memory, and the CPU of doing nothing."""
        pids = family(self._bridge.pid)
        before, began = cpu_seconds(pids), time.monotonic()
        time.sleep(self._seconds)
        share = (cpu_seconds(pids) - before) / (time.monotonic() - began)
        self.rows.append((f"{what}: idle", f"{pss_megabytes(pids):.0f} MB, {share:.1%} of a core", "", None))

    def refuse(self, token: str) -> None:
        """What one stream too many is answered."""
        login = {"Authorization": f"Bearer {token}"}
        answer = requests.get(f"{self._bridge.url}/popup/stream", headers=login, stream=True, timeout=10)
        said = f"{answer.status_code}, Retry-After: {answer.headers.get('Retry-After')}"
        self.rows.append(("one stream more", said, "503, Retry-After", answer.status_code == 503))
        answer.close()

    def _look_until(self, other: Future[Report]) -> list[float]:
        took = []
        while not other.done():
            began = time.monotonic()
            requests.get(f"{self._bridge.url}/healthz", timeout=10)
            took.append(time.monotonic() - began)
            time.sleep(0.02)
        return took


def _load(order: Order) -> Report:
    done = subprocess.run(
        [sys.executable, HERE / "load.py", json.dumps(asdict(order))], stdout=subprocess.PIPE, check=True
    )
    return Report(**json.loads(done.stdout))


def _grant(bridge: BridgeProcess, count: int) -> list[str]:
    """The tokens of as many agents, at the extensions from `FIRST` on: what `popup grant` does, in one process."""
    grants.PIN_METHOD = "scrypt:1024:8:1"  # nobody signs in by PIN here: two hundred of the real ones take a while
    store = Beside(f"sqlite:///{bridge.database}")
    feed, tokens = Feeds(store).of("screens"), []
    for number in range(count):
        item, issued = grants.new_grant([str(FIRST + number)], "", time.time())
        feed.publish(GRANTS, item, keep=None)
        tokens.append(issued.token)
    store.close()
    return tokens


@contextmanager
def _watching(bridge: BridgeProcess, tokens: Sequence[str]) -> Iterator[Watchers]:
    watchers = Watchers(bridge.port, tokens)
    deadline = time.monotonic() + 30
    while watchers.opened < len(tokens) and time.monotonic() < deadline:
        time.sleep(0.05)
    try:
        yield watchers
    finally:
        watchers.close()


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else float("inf")


def _spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return "nothing"
    p50, p99, most = (value * 1000 for value in (statistics.median(seconds), _p99(seconds), max(seconds)))
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {most:.0f} ms"


def main() -> None:
    """Measure, print the table."""
    arguments = argparse.ArgumentParser(description="Measure the agents' screens.")
    arguments.add_argument("--quick", action="store_true", help="fewer agents, shorter phases: about 15 seconds")
    arguments.add_argument("--folder", default="/var/tmp", help="where the store is made: on a real disk")
    chosen = arguments.parse_args()
    agents, streams, seconds = (40, 100, 1.0) if chosen.quick else (200, 500, 4.0)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # the children inherit it
    with tempfile.TemporaryDirectory(prefix="callbridge-bench-", dir=chosen.folder) as folder:
        bridge = BridgeProcess(Path(folder), CONFIG.replace("STREAMS", str(streams)))
        try:
            bridge.start()
            measurement = Measurement(bridge, seconds)
            tokens = _grant(bridge, agents)
            measurement.load("no stream")
            measurement.rest("no stream")
            with _watching(bridge, tokens) as watchers:
                measurement.ring(watchers, agents, agents)
                further = [tokens[number % agents] for number in range(streams - agents)]
                with _watching(bridge, further) as others:
                    opened = watchers.opened + others.opened
                    measurement.refuse(tokens[0])
                    measurement.rest(f"{opened} streams")
                    measurement.ring(watchers, agents, opened)
                    measurement.load(f"{opened} streams")
            bridge.stop()
        finally:
            bridge.close()
    table = Table("measured", "result", "goal", "", title=f"the popup; server and clients on {CORES} cores")
    for what, result, goal, reached in measurement.rows:
        table.add_row(what, result, goal, {None: "", True: "reached", False: "missed"}[reached])
    console = Console()
    (console if console.is_terminal else Console(width=180)).print(table)


if __name__ == "__main__":
    main()
