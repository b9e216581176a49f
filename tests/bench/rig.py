"""What all measurements share: the folder, the rows, what they are compared with, and the steps they are made of."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from beside import Sink, is_ready
from load import Order, Report
from processes import cpu_seconds, family
from table import Row

from bridge.testing import BridgeProcess, eventually

HERE = Path(__file__).parent
TOKEN = "bench-token"
INTAKE = f"/event/{TOKEN}"
CONFIG = f"""
locale = "tr"
[intake]
tokens = ["{TOKEN}"]
[sources.bulutsantralim]
"""
CONNECTOR = """
[connectors.sink]
kind = "webhook"
on = ["call.*"]
secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
"""


@dataclass(frozen=True)
class Plan:
    """How long each phase lasts, in seconds, and with how many connections the server is saturated.

    `quiet`: how long nothing happens before the lone event. `cross_check`: repeat one measurement with wrk, where it is
    installed. `growth`: measure what it costs that the store grows, and how a long backlog drains.
    """

    saturated: float
    paced: float
    idle: float
    connections: tuple[int, ...]
    quiet: float
    cross_check: bool = False
    growth: bool = False


@dataclass
class Rig:
    """Where measurements are made; what they find gathers in `rows`."""

    folder: Path
    plan: Plan
    rows: list[Row] = field(default_factory=list)
    ceiling: dict[int, float] = field(default_factory=dict)
    """Posts a second of the trivial application, by connections."""
    by_hand: float = 0.0
    """Posts a second that the handler written by hand takes and sends on within the request."""
    by_hand_arrival: dict[int, float] = field(default_factory=dict)
    """Its p99 from post to arrival in seconds, by posts a second."""
    sustained: dict[str, float] = field(default_factory=dict)
    """Posts a second that came all the way, from the first post to the last arrival, by how that was arranged."""

    @contextmanager
    def bridge(self, name: str, config: str, words: str) -> Iterator[BridgeProcess]:
        folder = self.folder / name
        folder.mkdir()
        bridge = BridgeProcess(folder, config)
        try:
            began = time.monotonic()
            bridge.start(until_ready=False)
            eventually(lambda: is_ready(bridge.port), f"the start of the bridge ({bridge.log})")
            seconds = time.monotonic() - began
            self.rows.append(Row(f"start to ready, {words}, a new store", f"{seconds:.2f} s", "< 2 s", seconds < 2))
            yield bridge
            bridge.stop()
        finally:
            bridge.close()

    def warm_up(self, port: int) -> None:
        self.load(Order(port, INTAKE, 16, 1.0))

    def settle(self, sink: Sink) -> int:
        """Wait until nothing more arrives, at most 10 seconds; returns how many did."""
        arrived, last, end = 0, -1, time.monotonic() + 10
        while arrived != last and time.monotonic() < end:
            last = arrived
            time.sleep(0.5)
            arrived += len(sink.collect())
        return arrived

    def arrivals(self, report: Report, sink: Sink) -> tuple[list[float], str]:
        """How long each took to arrive, and in words how many did not within 10 seconds."""
        arrived: dict[str, float] = {}
        with suppress(AssertionError):  # what is missing is shown in the table
            eventually(lambda: arrived.update(sink.collect()) or len(arrived) >= len(report.sent), within=10)
        took = [arrived[key] - sent for key, sent in report.sent.items() if key in arrived]
        missing = len(report.sent) - len(took)
        return took, f", {missing} MISSING" if missing else ""

    def load(self, order: Order, server: int | None = None, sink: Sink | None = None) -> tuple[Report, str]:
        """Run the load; returns its report and who used how much CPU meanwhile, in words."""
        pids = family(server) if server else []
        server_before = cpu_seconds(pids)
        sink_before = cpu_seconds([sink.process.pid]) if sink else 0.0
        done = subprocess.run(
            [sys.executable, HERE / "load.py", json.dumps(asdict(order))], stdout=subprocess.PIPE, check=True
        )
        report = Report(**json.loads(done.stdout))
        server_cpu = cpu_seconds(pids) - server_before
        shares = [server_cpu / report.seconds, report.cpu / report.seconds]
        if sink:
            shares.append((cpu_seconds([sink.process.pid]) - sink_before) / report.seconds)
        each = f"{server_cpu / len(report.latencies) * 1000:.2f} ms a post; "
        return report, each + " / ".join(f"{share:.0%}" for share in shares)
