"""Measures how fast the bridge is and what it costs, and prints one table. Linux only; `make bench` runs it.

The bridge is a real one: `callbridge serve` on SQLite with `synchronous=FULL`. Server, load and receiver share the same
two cores, so a ratio to the ceiling (a trivial Flask application served the same way, in the same run) says more than a
number from another machine. This is a measurement and no test: it ends with 0 whatever it finds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from callbridge_spreadsheet.connector import Spreadsheet
from callbridge_spreadsheet.settings import SpreadsheetSettings
from grown import grow
from load import Order, Report
from processes import cpu_seconds, family, pss_megabytes
from table import Row, p99, print_table, rate, spread, throughput

from bridge import Delivery
from bridge.testing import BridgeProcess, connector_context, eventually, free_port, sample_event

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
CORES = 2
WORDS = {"alone": "no connector", "webhook": "a webhook connector", "grown": "a webhook connector"}
SMALL, LARGE = 10_000, 1_000_000
"""Events in the store before and after it has grown."""
BACKLOG = {SMALL: 5_000, LARGE: 100_000}
"""Deliveries that wait in it."""


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
class Sink:
    """The receiver's process."""

    process: subprocess.Popen[str]
    url: str

    def collect(self) -> dict[str, float]:
        """When what has arrived since the last call, by call id and event type."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return dict(json.loads(self.process.stdout.readline()))


@dataclass
class Bench:
    """The measurements, one after the other; what they find gathers in `rows`."""

    folder: Path
    plan: Plan
    rows: list[Row] = field(default_factory=list)
    ceiling: dict[int, float] = field(default_factory=dict)
    """Posts a second of the trivial application, by connections."""
    by_hand: float = 0.0
    """Posts a second that the handler written by hand takes and sends on within the request."""
    by_hand_arrival: dict[int, float] = field(default_factory=dict)
    """Its p99 from post to arrival in seconds, by posts a second."""

    def measure_disk(self) -> None:
        """What one synced write costs here: no commit can be faster."""
        taken = []
        with (self.folder / "disk").open("ab", buffering=0) as file:
            for _ in range(200):
                began = time.monotonic()
                file.write(bytes(4096))
                os.fdatasync(file.fileno())
                taken.append(time.monotonic() - began)
        self.rows.append(Row("the disk: one synced write of 4 KiB", spread(taken)))
        with closing(sqlite3.connect(self.folder / "disk.db", isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("CREATE TABLE posts (body TEXT)")
            began = time.monotonic()
            for _ in range(500):
                connection.execute("INSERT INTO posts VALUES (?)", ["x" * 500])
            each = (time.monotonic() - began) / 500
        self.rows.append(Row("single rows into SQLite, each synced", f"{1 / each:,.0f}/s"))

    def measure_ceiling(self) -> None:
        """What Flask on this server can do at all."""
        with _ceiling() as (pid, port):
            self._warm_up(port)
            for connections in self.plan.connections:
                report, cpu = self._load(Order(port, INTAKE, connections, self.plan.saturated), pid)
                self.ceiling[connections] = rate(report)
                what = f"a trivial Flask application, {connections} connections"
                self.rows.append(Row(what, throughput(report), cpu=cpu))

    def measure_by_hand(self) -> None:
        """What people write themselves, which keeps nothing: sending within the request, or in the background."""
        for way, workers in (("inside", 2), ("thread", 1)):
            words = {"inside": "by hand, sent within the request", "thread": "by hand, sent by a thread"}[way]
            with _sink() as sink, _by_hand(way, sink.url, workers) as (pid, port):
                self._warm_up(port)
                self._settle(sink)
                if way == "inside":
                    for pace in (50, 200):
                        report, cpu = self._load(Order(port, INTAKE, 32, self.plan.paced, pace), pid, sink)
                        took, missing = self._arrivals(report, sink)
                        self.by_hand_arrival[pace] = p99(took)
                        what = f"{words}, post to arrival at {pace}/s"
                        self.rows.append(Row(what, spread(took) + missing, cpu=cpu))
                report, cpu = self._load(Order(port, INTAKE, 16, self.plan.saturated), pid, sink)
                if way == "inside":
                    self.by_hand = rate(report)
                arrived = len(sink.collect()) / report.seconds
                result = f"{throughput(report)}, {arrived:,.0f} delivered/s meanwhile"
                self.rows.append(Row(f"{words}, 16 connections, {workers} processes", result, cpu=cpu))

    def measure_without_connectors(self) -> None:
        """Intake alone: nobody wants the events."""
        with self._bridge("alone", CONFIG) as bridge:
            self._warm_up(bridge.port)
            self._acknowledge(bridge, 50, None)
            self._acknowledge(bridge, 200, None)
            self._saturate(bridge, "alone")
            if self.plan.cross_check and shutil.which("wrk"):
                self._cross_check(bridge)

    def measure_with_a_webhook(self) -> None:
        """Every event is owed to a webhook connector."""
        with _sink() as sink, self._bridge("webhook", f'{CONFIG}{CONNECTOR}url = "{sink.url}"') as bridge:
            self._rest(bridge, "idle, after the start", goal=True)
            self._lone_event(bridge, sink)
            self._warm_up(bridge.port)
            self._settle(sink)
            self._acknowledge(bridge, 50, sink)
            self._acknowledge(bridge, 200, sink)
            self._saturate(bridge, "webhook", sink)
            self._rest(bridge, "idle, after the load")

    def measure_growth(self) -> None:
        """What a post and a delivery cost in a small store and in a large one, and how a long backlog drains."""
        costs: dict[int, tuple[float, float]] = {}
        folder = self.folder / "grown"
        with _sink() as sink:
            config, held = f'{CONFIG}{CONNECTOR}url = "{sink.url}"', 0
            with self._bridge("grown", config) as bridge:
                self._load(Order(bridge.port, INTAKE, 16, 0.5))
                self._settle(sink)
            for size in (SMALL, LARGE):
                grow(folder / "callbridge.db", held, size, waiting=BACKLOG[size])
                held = size
                bridge = BridgeProcess(folder, config)
                try:
                    bridge.start()
                    delivering = self._drain(bridge, sink, size)
                    costs[size] = self._cost_of_a_post(bridge), delivering
                    bridge.stop()
                finally:
                    bridge.close()
        for place, what in enumerate(("taking and delivering a post", "delivering what waits")):
            small, large = costs[SMALL][place] * 1000, costs[LARGE][place] * 1000
            result = f"{small:.2f} ms, {large:.2f} ms of CPU: {large / small:.2f} x"
            self.rows.append(
                Row(f"{what}, {SMALL:,} and {LARGE:,} events stored", result, "<= 1.3 x", large <= 1.3 * small)
            )

    def measure_a_csv_file(self) -> None:
        """One row appended to 10,000, by a connector that knows the file, and by one that has just started."""
        settings = SpreadsheetSettings.model_validate({"path": str(self.folder / "calls.csv")})
        started = [Spreadsheet(settings, connector_context("call_log")) for _ in range(21)]
        started[0].bridge_deliver([_ended(number) for number in range(10_000)])
        for what, connectors in (("after a start", started[1:]), ("again", started[-1:] * 20)):
            taken = []
            for number, connector in enumerate(connectors):
                delivery = _ended(f"{what} {number}")
                began = time.monotonic()
                connector.bridge_deliver([delivery])
                taken.append(time.monotonic() - began)
            result = statistics.median(taken) < 0.005
            self.rows.append(
                Row(f"a row appended to a CSV file of 10,000, {what}", spread(taken), "p50 < 5 ms", result)
            )

    # --- the steps ------------------------------------------------------------------------------------------------

    @contextmanager
    def _bridge(self, name: str, config: str) -> Iterator[BridgeProcess]:
        folder = self.folder / name
        folder.mkdir()
        bridge = BridgeProcess(folder, config)
        try:
            began = time.monotonic()
            bridge.start(until_ready=False)
            eventually(lambda: _is_ready(bridge.port), f"the start of the bridge ({bridge.log})")
            seconds = time.monotonic() - began
            what = f"start to ready, {WORDS[name]}, a new store"
            self.rows.append(Row(what, f"{seconds:.2f} s", "< 2 s", seconds < 2))
            yield bridge
            bridge.stop()
        finally:
            bridge.close()

    def _lone_event(self, bridge: BridgeProcess, sink: Sink) -> None:
        self._load(Order(bridge.port, INTAKE, 1, 0.1, 10))
        self._settle(sink)
        time.sleep(self.plan.quiet)
        report, _ = self._load(Order(bridge.port, INTAKE, 1, 1, 1))
        took, missing = self._arrivals(report, sink)
        result = f"{max(took, default=float('inf')) * 1000:.1f} ms{missing}"
        what = f"a lone event after {self.plan.quiet:g} quiet seconds, post to arrival"
        self.rows.append(Row(what, result, "< 20 ms", not missing and max(took) < 0.020))

    def _drain(self, bridge: BridgeProcess, sink: Sink, size: int) -> float:
        """Have the backlog delivered while new calls come in; returns the CPU seconds of a delivery."""
        pids = family(bridge.pid)
        arrived: dict[str, float] = {}
        began, before, memory = time.monotonic(), cpu_seconds(pids), 0.0
        order = Order(bridge.port, INTAKE, 4, BACKLOG[size] / 2500, 20)
        report, _ = self._load(order)
        end = time.monotonic() + 300
        while len(arrived) < BACKLOG[size] + len(report.sent) and time.monotonic() < end:
            arrived |= sink.collect()
            memory = max(memory, pss_megabytes(pids))
            time.sleep(0.5)
        seconds = max(arrived.values(), default=began) - began
        cpu: float = cpu_seconds(pids) - before
        took = [arrived[key] - sent for key, sent in report.sent.items() if key in arrived]
        drained = BACKLOG[size] / seconds
        missing = BACKLOG[size] + len(report.sent) - len(arrived)
        what = f"a backlog of {BACKLOG[size]:,}, delivered"
        lost = f", {missing} MISSING" if missing else ""
        if size == LARGE:
            self.rows.append(Row(what, f"{drained:,.0f}/s{lost}", ">= 1,000/s", drained >= 1000 and not missing))
            self.rows.append(Row("memory meanwhile", f"{memory:.0f} MB", "< 120 MB", memory < 120))
            self.rows.append(Row("new calls meanwhile, post to arrival", spread(took), "p99 < 1 s", p99(took) < 1))
        return cpu / max(1, len(arrived))

    def _cost_of_a_post(self, bridge: BridgeProcess) -> float:
        """CPU seconds from the post to the end of its delivery."""
        pids = family(bridge.pid)
        before = cpu_seconds(pids)
        report, _ = self._load(Order(bridge.port, INTAKE, 16, self.plan.saturated))
        eventually(lambda: _waiting(bridge) == 0, "the end of the backlog", within=120)
        return (cpu_seconds(pids) - before) / len(report.latencies)

    def _rest(self, bridge: BridgeProcess, what: str, *, goal: bool = False) -> None:
        time.sleep(1)
        pids = family(bridge.pid)
        before, began = cpu_seconds(pids), time.monotonic()
        time.sleep(self.plan.idle)
        share = (cpu_seconds(pids) - before) / (time.monotonic() - began)
        memory = pss_megabytes(pids)
        found = f"{memory:.1f} MB, {share:.2%} of a core"
        if goal:
            self.rows.append(Row(what, found, "< 100 MB, < 1% of a core", memory < 100 and share < 0.01))
        else:
            self.rows.append(Row(what, found))

    def _warm_up(self, port: int) -> None:
        self._load(Order(port, INTAKE, 16, 1.0))

    def _settle(self, sink: Sink) -> int:
        """Wait until nothing more arrives, at most 10 seconds; returns how many did."""
        arrived, last, end = 0, -1, time.monotonic() + 10
        while arrived != last and time.monotonic() < end:
            last = arrived
            time.sleep(0.5)
            arrived += len(sink.collect())
        return arrived

    def _saturate(self, bridge: BridgeProcess, name: str, sink: Sink | None = None) -> None:
        for connections in self.plan.connections:
            order = Order(bridge.port, INTAKE, connections, self.plan.saturated)
            began = time.monotonic()
            report, cpu = self._load(order, bridge.pid, sink)
            found, is_goal = throughput(report), connections == 16
            goal, reached = (">= 1,500/s", rate(report) >= 1500 and not report.refused) if is_goal else ("", None)
            self.rows.append(Row(f"{WORDS[name]}, {connections} connections", found, goal, reached, cpu))
            if not sink:
                self._compare(f"{WORDS[name]}, {connections} connections", rate(report), connections)
                continue
            arrived = sink.collect()
            meanwhile = len(arrived) / report.seconds
            eventually(lambda: _waiting(bridge) == 0, "the end of the backlog", within=120)
            arrived |= sink.collect()
            sustained = len(report.latencies) / (max(arrived.values(), default=began) - began)
            result = f"{sustained:,.0f}/s ({meanwhile:,.0f}/s while posts come in): {sustained / self.by_hand:.2f} x"
            what = f"from the first post to the last arrival, {connections} connections"
            self.rows.append(Row(what, result, ">= 1.0 x by hand", sustained >= self.by_hand))

    def _compare(self, what: str, found: float, connections: int) -> None:
        ratio = found / self.ceiling[connections]
        self.rows.append(Row(f"{what}: the trivial one", f"{ratio:.2f} x", ">= 0.5 x", ratio >= 0.5))
        if connections == 16:
            ratio = found / self.by_hand
            self.rows.append(Row(f"{what}: by hand", f"{ratio:.2f} x", ">= 1.8 x", ratio >= 1.8))

    def _acknowledge(self, bridge: BridgeProcess, pace: int, sink: Sink | None) -> None:
        order = Order(bridge.port, INTAKE, 32, self.plan.paced, pace)
        report, cpu = self._load(order, bridge.pid, sink)
        config = WORDS["webhook" if sink else "alone"]
        goal, reached = ("p99 < 20 ms", p99(report.latencies) < 0.020) if pace == 200 else ("", None)
        late = f" (load late by p99 {p99(report.late) * 1000:.1f} ms)"
        self.rows.append(
            Row(f"acknowledged at {pace}/s, {config}", spread(report.latencies) + late, goal, reached, cpu)
        )
        if sink:
            self._arrive(pace, report, sink)

    def _arrive(self, pace: int, report: Report, sink: Sink) -> None:
        took, missing = self._arrivals(report, sink)
        limit, what = 0.025 if pace == 50 else 0.050, f"post to arrival at {pace}/s"
        reached = p99(took) < limit and not missing
        self.rows.append(Row(what, spread(took) + missing, f"p99 < {limit * 1000:.0f} ms", reached))
        ratio = p99(took) / self.by_hand_arrival[pace]
        self.rows.append(Row(f"{what}: by hand", f"{ratio:.1f} x", "p99 <= 4 x", ratio <= 4))

    def _arrivals(self, report: Report, sink: Sink) -> tuple[list[float], str]:
        """How long each took to arrive, and in words how many did not within 10 seconds."""
        arrived: dict[str, float] = {}
        with suppress(AssertionError):  # what is missing is shown in the table
            eventually(lambda: arrived.update(sink.collect()) or len(arrived) >= len(report.sent), within=10)
        took = [arrived[key] - sent for key, sent in report.sent.items() if key in arrived]
        missing = len(report.sent) - len(took)
        return took, f", {missing} MISSING" if missing else ""

    def _cross_check(self, bridge: BridgeProcess) -> None:
        """The same by another load generator: what wrk finds should be near."""
        done = subprocess.run(
            ["wrk", "-t1", "-c16", f"-d{self.plan.saturated:.0f}s", "--latency", "-s", HERE / "wrk.lua", bridge.url],
            capture_output=True,
            text=True,
            check=False,
        )
        found = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("Requests/sec:")]
        result = f"{float(found[0]):,.0f}/s" if found else "failed"
        self.rows.append(Row("no connector, 16 connections, by wrk", result))

    def _load(self, order: Order, server: int | None = None, sink: Sink | None = None) -> tuple[Report, str]:
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


# --- processes beside the bridge ----------------------------------------------------------------------------------


@contextmanager
def _ceiling() -> Iterator[tuple[int, int]]:
    port = free_port()
    process = subprocess.Popen([sys.executable, HERE / "ceiling.py", str(port)])
    try:
        eventually(lambda: _is_ready(port), "the start of the trivial application")
        yield process.pid, port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _by_hand(way: str, url: str, workers: int) -> Iterator[tuple[int, int]]:
    port = free_port()
    process = subprocess.Popen([sys.executable, HERE / "byhand.py", way, str(port), url, str(workers)])
    try:
        eventually(lambda: _is_ready(port), "the start of the handler written by hand")
        yield process.pid, port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _sink() -> Iterator[Sink]:
    with subprocess.Popen(
        [sys.executable, HERE / "sink.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield Sink(process, f"http://127.0.0.1:{int(process.stdout.readline())}/")


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _waiting(bridge: BridgeProcess) -> int:
    """How many deliveries wait."""
    with closing(sqlite3.connect(bridge.database)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM deliveries WHERE state = 'pending'").fetchone()
    return int(count)


def _ended(call: object) -> Delivery:
    """The end of a call, as a connector gets it."""
    event = sample_event("call.missed", id=f"{call}-1111-2222")
    return Delivery(id=f"dlv_{call}", connector="call_log", target="", attempt=1, event=event)


def main() -> None:
    """Measure everything, print the table."""
    arguments = argparse.ArgumentParser(description="Measure the bridge.")
    arguments.add_argument("--quick", action="store_true", help="under a minute, less exact, no grown store")
    arguments.add_argument("--folder", default="/var/tmp", help="where the stores are made: on a real disk")
    chosen = arguments.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # the children inherit it
    began = time.monotonic()
    quick = Plan(saturated=1.2, paced=2, idle=1, connections=(16,), quiet=2)
    whole = Plan(saturated=4, paced=6, idle=5, connections=(16, 64), quiet=60, cross_check=True, growth=True)
    plan = quick if chosen.quick else whole
    with tempfile.TemporaryDirectory(prefix="callbridge-bench-", dir=chosen.folder) as folder:
        bench = Bench(Path(folder), plan)
        bench.measure_disk()
        bench.measure_ceiling()
        bench.measure_by_hand()
        bench.measure_without_connectors()
        bench.measure_with_a_webhook()
        if plan.growth:
            bench.measure_growth()
        bench.measure_a_csv_file()
    print_table(bench.rows, time.monotonic() - began)


if __name__ == "__main__":
    main()
