"""What it costs that the store grows, and how a long backlog drains."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

from beside import Sink, run_sink
from grown import grow
from load import Order
from processes import cpu_seconds, family, pss_megabytes
from rig import CONFIG, CONNECTOR, INTAKE, Rig
from table import Row, p99, spread

from bridge.testing import BridgeProcess, eventually

SMALL, LARGE = 10_000, 1_000_000
"""Events in the store before and after it has grown."""
BACKLOG = {SMALL: 5_000, LARGE: 100_000}
"""Deliveries that wait in it."""


def measure_growth(rig: Rig) -> None:
    """What a post and a delivery cost in a small store and in a large one, and how a long backlog drains."""
    costs: dict[int, tuple[float, float]] = {}
    folder = rig.folder / "grown"
    with run_sink() as sink:
        config, held = f'{CONFIG}{CONNECTOR}url = "{sink.url}"', 0
        with rig.bridge("grown", config, "a webhook connector") as bridge:
            rig.load(Order(bridge.port, INTAKE, 16, 0.5))
            rig.settle(sink)
        for size in (SMALL, LARGE):
            grow(folder / "callbridge.db", held, size, waiting=BACKLOG[size])
            held = size
            bridge = BridgeProcess(folder, config)
            try:
                bridge.start()
                delivering = _drain(rig, bridge, sink, size)
                costs[size] = _cost_of_a_post(rig, bridge), delivering
                bridge.stop()
            finally:
                bridge.close()
    for place, what in enumerate(("taking and delivering a post", "delivering what waits")):
        small, large = costs[SMALL][place] * 1000, costs[LARGE][place] * 1000
        result = f"{small:.2f} ms, {large:.2f} ms of CPU: {large / small:.2f} x"
        rig.rows.append(Row(f"{what}, {SMALL:,} and {LARGE:,} events stored", result, "<= 1.3 x", large <= 1.3 * small))


def _drain(rig: Rig, bridge: BridgeProcess, sink: Sink, size: int) -> float:
    """Have the backlog delivered while new calls come in; returns the CPU seconds of a delivery."""
    sink.collect()  # what is left of the measurement before
    pids = family(bridge.pid)
    arrived: dict[str, float] = {}
    began, before, memory = time.monotonic(), cpu_seconds(pids), 0.0
    order = Order(bridge.port, INTAKE, 4, BACKLOG[size] / 2500, 20)
    report, _ = rig.load(order)
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
        rig.rows.append(Row(what, f"{drained:,.0f}/s{lost}", ">= 1,000/s", drained >= 1000 and not missing))
        rig.rows.append(Row("memory meanwhile", f"{memory:.0f} MB", "< 120 MB", memory < 120))
        rig.rows.append(Row("new calls meanwhile, post to arrival", spread(took), "p99 < 1 s", p99(took) < 1))
    return cpu / max(1, len(arrived))


def _cost_of_a_post(rig: Rig, bridge: BridgeProcess) -> float:
    """CPU seconds from the post to the end of its delivery."""
    pids = family(bridge.pid)
    before = cpu_seconds(pids)
    report, _ = rig.load(Order(bridge.port, INTAKE, 16, rig.plan.saturated))
    eventually(lambda: waiting_in(bridge) == 0, "the end of the backlog", within=120)
    return (cpu_seconds(pids) - before) / len(report.latencies)


def waiting_in(bridge: BridgeProcess) -> int:
    """How many deliveries wait."""
    with closing(sqlite3.connect(bridge.database)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM deliveries WHERE state = 'pending'").fetchone()
    return int(count)
