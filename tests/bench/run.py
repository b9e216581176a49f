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
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from callbridge_spreadsheet.connector import Spreadsheet
from callbridge_spreadsheet.settings import SpreadsheetSettings
from load import Order, Report
from processes import cpu_seconds, family, pss_megabytes
from rich.console import Console
from rich.table import Table

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
WORDS = {"alone": "no connector", "webhook": "a webhook connector"}


@dataclass(frozen=True)
class Row:
    """A line of the table. `reached` None: there is no goal."""

    what: str
    result: str
    goal: str = ""
    reached: bool | None = None
    cpu: str = ""


@dataclass(frozen=True)
class Plan:
    """How long each phase lasts, in seconds, and with how many connections the server is saturated.

    `cross_check`: repeat one measurement with wrk, where it is installed.
    """

    saturated: float
    paced: float
    idle: float
    connections: tuple[int, ...]
    cross_check: bool = False


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

    def measure_disk(self) -> None:
        """What one synced write costs here: no commit can be faster."""
        taken = []
        with (self.folder / "disk").open("ab", buffering=0) as file:
            for _ in range(200):
                began = time.monotonic()
                file.write(bytes(4096))
                os.fdatasync(file.fileno())
                taken.append(time.monotonic() - began)
        self.rows.append(Row("the disk: one synced write of 4 KiB", _spread(taken)))

    def measure_ceiling(self) -> None:
        """What Flask on this server can do at all."""
        with _ceiling() as (pid, port):
            self._warm_up(port)
            for connections in self.plan.connections:
                report, cpu = self._load(Order(port, INTAKE, connections, self.plan.saturated), pid)
                self.ceiling[connections] = _rate(report)
                what = f"a trivial Flask application, {connections} connections"
                self.rows.append(Row(what, _throughput(report), cpu=cpu))

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
            self._warm_up(bridge.port)
            self._settle(sink)
            self._acknowledge(bridge, 50, sink)
            self._acknowledge(bridge, 200, sink)
            self._saturate(bridge, "webhook", sink)
            self._rest(bridge, "idle, after the load")

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
                Row(f"a row appended to a CSV file of 10,000, {what}", _spread(taken), "p50 < 5 ms", result)
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
            report, cpu = self._load(order, bridge.pid, sink)
            meanwhile = f", {len(sink.collect()) / report.seconds:,.0f} delivered/s meanwhile" if sink else ""
            ratio = f" ({_rate(report) / self.ceiling[connections]:.0%} of the trivial one)"
            is_goal = connections == 16
            self.rows.append(
                Row(
                    f"{WORDS[name]}, {connections} connections",
                    _throughput(report) + ratio + meanwhile,
                    ">= 1,500/s" if is_goal else "",
                    _rate(report) >= 1500 and not report.refused if is_goal else None,
                    cpu,
                )
            )
        if sink:
            began = time.monotonic()
            left = self._settle(sink)
            seconds = time.monotonic() - began - 0.5
            self.rows.append(Row("the backlog of that, delivered afterwards", f"{left:,} in {seconds:.1f} s"))

    def _acknowledge(self, bridge: BridgeProcess, rate: int, sink: Sink | None) -> None:
        order = Order(bridge.port, INTAKE, 32, self.plan.paced, rate)
        report, cpu = self._load(order, bridge.pid, sink)
        config = WORDS["webhook" if sink else "alone"]
        goal, reached = ("p99 < 20 ms", _p99(report.latencies) < 0.020) if rate == 200 else ("", None)
        late = f" (load late by p99 {_p99(report.late) * 1000:.1f} ms)"
        self.rows.append(
            Row(f"acknowledged at {rate}/s, {config}", _spread(report.latencies) + late, goal, reached, cpu)
        )
        if sink:
            self._arrive(rate, report, sink)

    def _arrive(self, rate: int, report: Report, sink: Sink) -> None:
        arrived: dict[str, float] = {}
        with suppress(AssertionError):  # what is missing is shown in the table
            eventually(lambda: arrived.update(sink.collect()) or len(arrived) >= len(report.sent), within=10)
        took = [arrived[key] - sent for key, sent in report.sent.items() if key in arrived]
        limit = 0.025 if rate == 50 else 0.050
        missing = len(report.sent) - len(took)
        self.rows.append(
            Row(
                f"post to arrival at {rate}/s",
                _spread(took) + (f", {missing} MISSING" if missing else ""),
                f"p99 < {limit * 1000:.0f} ms",
                _p99(took) < limit and not missing,
            )
        )

    def _cross_check(self, bridge: BridgeProcess) -> None:
        """The same by another load generator: what wrk finds should be near."""
        done = subprocess.run(
            ["wrk", "-t1", "-c16", f"-d{self.plan.saturated:.0f}s", "--latency", "-s", HERE / "wrk.lua", bridge.url],
            capture_output=True,
            text=True,
            check=False,
        )
        found = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("Requests/sec:")]
        rate = f"{float(found[0]):,.0f}/s" if found else "failed"
        self.rows.append(Row("no connector, 16 connections, by wrk", rate))

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


def _ended(call: object) -> Delivery:
    """The end of a call, as a connector gets it."""
    event = sample_event("call.missed", id=f"{call}-1111-2222")
    return Delivery(id=f"dlv_{call}", connector="call_log", target="", attempt=1, event=event)


# --- numbers in words ---------------------------------------------------------------------------------------------


def _rate(report: Report) -> float:
    return len(report.latencies) / report.seconds


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else float("inf")


def _spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return "nothing"
    p50, p99, most = (value * 1000 for value in (statistics.median(seconds), _p99(seconds), max(seconds)))
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {most:.0f} ms"


def _throughput(report: Report) -> str:
    refused = f", {report.refused} REFUSED" if report.refused else ""
    return f"{_rate(report):,.0f}/s, {_spread(report.latencies)}{refused}"


def _print(rows: Sequence[Row], seconds: float) -> None:
    caption = "CPU: the server's time for each post; share of a core of server / load / receiver"
    table = Table(title=f"{_machine()}; {seconds:.0f} s", caption=caption)
    for column in ("measured", "goal", "result", "", "CPU"):
        table.add_column(column)
    for row in rows:
        verdict = {None: "", True: "[green]reached[/]", False: "[red]missed[/]"}[row.reached]
        table.add_row(row.what, row.goal, row.result, verdict, row.cpu)
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table)


def _machine() -> str:
    cores = len(os.sched_getaffinity(0))
    return f"Python {platform.python_version()}, Linux {platform.release()}, server and load on {cores} cores"


def main() -> None:
    """Measure everything, print the table."""
    arguments = argparse.ArgumentParser(description="Measure the bridge.")
    arguments.add_argument("--quick", action="store_true", help="shorter phases: under 30 seconds, less exact")
    arguments.add_argument("--folder", default="/var/tmp", help="where the stores are made: on a real disk")
    chosen = arguments.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # the children inherit it
    began = time.monotonic()
    quick = Plan(saturated=1.2, paced=2, idle=1, connections=(16,))
    plan = quick if chosen.quick else Plan(saturated=4, paced=6, idle=5, connections=(16, 64), cross_check=True)
    with tempfile.TemporaryDirectory(prefix="callbridge-bench-", dir=chosen.folder) as folder:
        bench = Bench(Path(folder), plan)
        bench.measure_disk()
        bench.measure_ceiling()
        bench.measure_without_connectors()
        bench.measure_with_a_webhook()
        bench.measure_a_csv_file()
    _print(bench.rows, time.monotonic() - began)


if __name__ == "__main__":
    main()
