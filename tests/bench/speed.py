"""How fast posts are taken and arrive, and what the bridge costs at rest."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from beside import Sink, run_sink
from growth import waiting_in
from load import Order, Report
from processes import bound_to, cpu_seconds, family, pss_megabytes
from rig import CONFIG, CONNECTOR, INTAKE, Rig
from table import Row, p99, rate, spread, throughput

from bridge.testing import BridgeProcess, eventually

HERE = Path(__file__).parent
WORDS = {"alone": "no connector", "webhook": "a webhook connector"}


def measure_without_connectors(rig: Rig) -> None:
    """Intake alone: nobody wants the events."""
    with rig.bridge("alone", CONFIG, WORDS["alone"]) as bridge:
        rig.warm_up(bridge.port)
        _acknowledge(rig, bridge, 50, None)
        _acknowledge(rig, bridge, 200, None)
        _saturate(rig, bridge, "alone")
        if rig.plan.cross_check and shutil.which("wrk"):
            _cross_check(rig, bridge)


def measure_with_a_webhook(rig: Rig) -> None:
    """Every event is owed to a webhook connector."""
    with run_sink() as sink, rig.bridge("webhook", _to(sink), WORDS["webhook"]) as bridge:
        _rest(rig, bridge, "idle, after the start", goal=True)
        _lone_event(rig, bridge, sink)
        rig.warm_up(bridge.port)
        rig.settle(sink)
        _acknowledge(rig, bridge, 50, sink)
        _acknowledge(rig, bridge, 200, sink)
        _saturate(rig, bridge, "webhook", sink)
        _rest(rig, bridge, "idle, after the load")


def measure_in_two_processes(rig: Rig) -> None:
    """The same with deliveries in a process of their own, on the same SQLite file: one for each core."""
    _part(rig, "intake and worker apart", (nullcontext(), nullcontext()))
    _part(rig, "intake and worker apart, each bound to a core", (bound_to(0), bound_to(1)))
    how, best = max(rig.sustained.items(), key=lambda one: one[1])
    ratio = best / rig.by_hand
    rig.rows.append(Row(f"the best of these: {how}", f"{ratio:.2f} x", ">= 1.0 x by hand", ratio >= 1.0))


def _part(rig: Rig, how: str, places: Sequence[AbstractContextManager[None]]) -> None:
    with run_sink() as sink, ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(dir=rig.folder)))
        intake = BridgeProcess(folder / "intake", _to(sink), options=["--role", "intake"])
        store = f"sqlite:///{intake.database}"
        worker = BridgeProcess(folder / "worker", _to(sink), store=store, options=["--role", "worker"])
        for bridge, place in zip((intake, worker), places, strict=True):
            stack.callback(bridge.close)
            with place:
                bridge.start()
        rig.warm_up(intake.port)
        rig.settle(sink)
        report, cpu = rig.load(Order(intake.port, INTAKE, 16, rig.plan.saturated), intake.pid, sink)
        rig.rows.append(Row(f"{how}, 16 connections", throughput(report), cpu=cpu))
        _sustain(rig, intake, report, sink, f"16 connections, {how}")
        for bridge in (intake, worker):
            bridge.stop()


def _to(sink: Sink) -> str:
    return f'{CONFIG}{CONNECTOR}url = "{sink.url}"'


def _lone_event(rig: Rig, bridge: BridgeProcess, sink: Sink) -> None:
    rig.load(Order(bridge.port, INTAKE, 1, 0.1, 10))
    rig.settle(sink)
    time.sleep(rig.plan.quiet)
    report, _ = rig.load(Order(bridge.port, INTAKE, 1, 1, 1))
    took, missing = rig.arrivals(report, sink)
    result = f"{max(took, default=float('inf')) * 1000:.1f} ms{missing}"
    what = f"a lone event after {rig.plan.quiet:g} quiet seconds, post to arrival"
    rig.rows.append(Row(what, result, "< 20 ms", not missing and max(took) < 0.020))


def _rest(rig: Rig, bridge: BridgeProcess, what: str, *, goal: bool = False) -> None:
    time.sleep(1)
    pids = family(bridge.pid)
    before, began = cpu_seconds(pids), time.monotonic()
    time.sleep(rig.plan.idle)
    share = (cpu_seconds(pids) - before) / (time.monotonic() - began)
    memory = pss_megabytes(pids)
    found = f"{memory:.1f} MB, {share:.2%} of a core"
    if goal:
        rig.rows.append(Row(what, found, "< 100 MB, < 1% of a core", memory < 100 and share < 0.01))
    else:
        rig.rows.append(Row(what, found))


def _saturate(rig: Rig, bridge: BridgeProcess, name: str, sink: Sink | None = None) -> None:
    for connections in rig.plan.connections:
        order = Order(bridge.port, INTAKE, connections, rig.plan.saturated)
        report, cpu = rig.load(order, bridge.pid, sink)
        what, is_goal = f"{WORDS[name]}, {connections} connections", connections == 16
        goal, reached = (">= 1,500/s", rate(report) >= 1500 and not report.refused) if is_goal else ("", None)
        rig.rows.append(Row(what, throughput(report), goal, reached, cpu))
        if sink:
            _sustain(rig, bridge, report, sink, f"{connections} connections")
        else:
            _compare(rig, what, rate(report), connections)


def _sustain(rig: Rig, bridge: BridgeProcess, report: Report, sink: Sink, how: str) -> None:
    """How many a second came all the way, from the first post to the last arrival."""
    arrived = sink.collect()
    meanwhile = len(arrived) / report.seconds
    eventually(lambda: waiting_in(bridge) == 0, "the end of the backlog", within=120)
    arrived |= sink.collect()
    sustained = len(report.latencies) / (max(arrived.values(), default=float("inf")) - report.began)
    rig.sustained[how] = sustained
    result = f"{sustained:,.0f}/s ({meanwhile:,.0f}/s while posts come in): {sustained / rig.by_hand:.2f} x by hand"
    rig.rows.append(Row(f"from the first post to the last arrival, {how}", result))


def _compare(rig: Rig, what: str, found: float, connections: int) -> None:
    ratio = found / rig.ceiling[connections]
    rig.rows.append(Row(f"{what}: the trivial one", f"{ratio:.2f} x", ">= 0.5 x", ratio >= 0.5))
    if connections == 16:
        ratio = found / rig.by_hand
        rig.rows.append(Row(f"{what}: by hand", f"{ratio:.2f} x", ">= 1.8 x", ratio >= 1.8))


def _acknowledge(rig: Rig, bridge: BridgeProcess, pace: int, sink: Sink | None) -> None:
    order = Order(bridge.port, INTAKE, 32, rig.plan.paced, pace)
    report, cpu = rig.load(order, bridge.pid, sink)
    config = WORDS["webhook" if sink else "alone"]
    goal, reached = ("p99 < 20 ms", p99(report.latencies) < 0.020) if pace == 200 else ("", None)
    late = f" (load late by p99 {p99(report.late) * 1000:.1f} ms)"
    rig.rows.append(Row(f"acknowledged at {pace}/s, {config}", spread(report.latencies) + late, goal, reached, cpu))
    if sink:
        _arrive(rig, pace, report, sink)


def _arrive(rig: Rig, pace: int, report: Report, sink: Sink) -> None:
    took, missing = rig.arrivals(report, sink)
    limit, what = 0.025 if pace == 50 else 0.050, f"post to arrival at {pace}/s"
    reached = p99(took) < limit and not missing
    rig.rows.append(Row(what, spread(took) + missing, f"p99 < {limit * 1000:.0f} ms", reached))
    ratio = p99(took) / rig.by_hand_arrival[pace]
    rig.rows.append(Row(f"{what}: by hand", f"{ratio:.1f} x", "p99 <= 4 x", ratio <= 4))


def _cross_check(rig: Rig, bridge: BridgeProcess) -> None:
    """The same by another load generator: what wrk finds should be near."""
    done = subprocess.run(
        ["wrk", "-t1", "-c16", f"-d{rig.plan.saturated:.0f}s", "--latency", "-s", HERE / "wrk.lua", bridge.url],
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("Requests/sec:")]
    result = f"{float(found[0]):,.0f}/s" if found else "failed"
    rig.rows.append(Row("no connector, 16 connections, by wrk", result))
