"""What it costs that the store grows, and how a long backlog drains."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass

from beside import Sink, run_sink
from grown import grow
from load import Order
from processes import bound_to, cpu_seconds, family, pss_megabytes
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

        @contextmanager
        def grown(size: int, waiting: int, place: AbstractContextManager[None]) -> Iterator[BridgeProcess]:
            nonlocal held
            grow(folder / "callbridge.db", held, size, waiting=waiting)
            held = size
            bridge = BridgeProcess(folder, config)
            sink.collect()  # what is left of the measurement before; the bridge delivers as soon as it is there
            try:
                with place:
                    bridge.start()
                yield bridge
                bridge.stop()
            finally:
                bridge.close()

        for size in (SMALL, LARGE):
            with grown(size, BACKLOG[size], bound_to(0)) as bridge:
                backlog = _drain(rig, bridge, sink, BACKLOG[size])
                costs[size] = _cost_of_a_post(rig, bridge), backlog.cpu
        _show(rig, backlog)
        with grown(LARGE + BACKLOG[SMALL], BACKLOG[SMALL], nullcontext()) as bridge:
            free = _drain(rig, bridge, sink, BACKLOG[SMALL])
            rig.rows.append(Row(f"a backlog of {free.waited:,}, bound to no core", free.rate))
    for place, what in enumerate(("taking and delivering a post", "delivering what waits")):
        small, large = costs[SMALL][place] * 1000, costs[LARGE][place] * 1000
        result = f"{small:.2f} ms, {large:.2f} ms of CPU: {large / small:.2f} x"
        rig.rows.append(Row(f"{what}, {SMALL:,} and {LARGE:,} events stored", result, "<= 1.3 x", large <= 1.3 * small))


@dataclass
class _Backlog:
    """How a backlog drained: how many `waited`, how long it took and what a delivery cost (seconds), the largest memory
    meanwhile (MB), how long new calls took to arrive (seconds), and how many did not."""

    waited: int
    seconds: float
    cpu: float
    memory: float
    took: list[float]
    missing: int

    @property
    def a_second(self) -> float:
        return self.waited / self.seconds

    @property
    def rate(self) -> str:
        return f"{self.a_second:,.0f}/s" + (f", {self.missing} MISSING" if self.missing else "")


def _drain(rig: Rig, bridge: BridgeProcess, sink: Sink, waiting: int) -> _Backlog:
    """Have a backlog delivered while new calls come in."""
    pids = family(bridge.pid)
    arrived: dict[str, float] = {}
    began, before, memory = time.monotonic(), cpu_seconds(pids), 0.0
    report, _ = rig.load(Order(bridge.port, INTAKE, 4, waiting / 2500, 20))
    end = time.monotonic() + 300
    while len(arrived) < waiting + len(report.sent) and time.monotonic() < end:
        arrived |= sink.collect()
        memory = max(memory, pss_megabytes(pids))
        time.sleep(0.5)
    return _Backlog(
        waited=waiting,
        seconds=max(arrived.values(), default=float("inf")) - began,
        cpu=(cpu_seconds(pids) - before) / max(1, len(arrived)),
        memory=memory,
        took=[arrived[key] - sent for key, sent in report.sent.items() if key in arrived],
        missing=waiting + len(report.sent) - len(arrived),
    )


def _show(rig: Rig, backlog: _Backlog) -> None:
    reached = backlog.a_second >= 1000 and not backlog.missing
    what = f"a backlog of {backlog.waited:,}, by a bridge bound to one core"
    rig.rows.append(Row(what, backlog.rate, ">= 1,000/s", reached))
    rig.rows.append(Row("memory meanwhile", f"{backlog.memory:.0f} MB", "< 120 MB", backlog.memory < 120))
    took = backlog.took
    rig.rows.append(Row("new calls meanwhile, post to arrival", spread(took), "p99 < 1 s", p99(took) < 1))


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
