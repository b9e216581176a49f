"""A PostgreSQL that crashes in the middle of traffic, is away, falls silent, takes no more connections; and everything
that befalls bridges which share one.

Each fault is played on a database of its own, in a cluster that it starts for itself.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from psycopg import OperationalError

from bridge.testing import eventually
from tests.bench.processes import family
from tests.faults import kills, machines, outages, stopped
from tests.faults.judge import Verdict
from tests.faults.stage import Stage, stage
from tests.plugins_for_tests.cluster import Cluster, find_binaries, running_cluster

Cause = Callable[[Cluster, Stage], AbstractContextManager[object]]


def plays(each: int, seconds: float) -> Iterator[tuple[str, Callable[[Path], Verdict]]]:
    """The long pass: so many kills at each boundary, every outage so many seconds long."""

    def play(fault: str, of: Callable[[Path, Cluster], Verdict]) -> tuple[str, Callable[[Path], Verdict]]:
        return f"PostgreSQL: {fault}", partial(_play, fault=f"PostgreSQL: {fault}", of=of)

    def on(of: Callable[..., Verdict], **options: object) -> Callable[[Path, Cluster], Verdict]:
        return lambda folder, cluster: of(folder, store=cluster.new_database(), **options)

    boundaries = [boundary for boundary in kills.BOUNDARIES for _ in range(each)]
    yield play("kills", on(kills.kill, boundaries=boundaries, seed=1))
    yield play("worker stopped", on(stopped.stop_past_lease))
    yield play("machines killed", on(machines.kill_some, count=4, killed=2, added=1))
    yield play("machines restarted", on(machines.restart_in_turn, count=3, rounds=2))
    yield play("crashes", partial(crash, times=20))
    for fault in CAUSES:
        yield play(fault, partial(outage, fault=fault, seconds=seconds))


def _play(folder: Path, fault: str, of: Callable[[Path, Cluster], Verdict]) -> Verdict:
    binaries = find_binaries()
    if binaries is None:
        return Verdict(fault, note="not played: PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with running_cluster(binaries, fsync="on") as cluster:
        return of(folder, cluster)


def crash(folder: Path, cluster: Cluster, times: int) -> Verdict:
    """So many times it is ended at once, at random moments, and started again (as by `pg_ctl restart -m immediate`)."""
    chance = random.Random(times)
    with stage(folder, store=cluster.new_database()) as scene:
        scene.bridge.start()
        scene.load.start()
        for _ in range(times):
            time.sleep(chance.uniform(0.1, 0.6))
            taken = len(scene.load.accepted)
            scene.disrupt()
            cluster.stop(signal.SIGQUIT)
            cluster.start()
            scene.disrupt()
            eventually(lambda before=taken: len(scene.load.accepted) > before, "the first post that is taken again")
        eventually(lambda: scene.bridge.get("/readyz").status_code == 200, "a green /readyz")
        scene.settle()
        return scene.judge(f"PostgreSQL crashed {times} times under traffic")


def outage(folder: Path, cluster: Cluster, fault: str, seconds: float) -> Verdict:
    """It cannot be used for so many seconds."""
    cause, reason = CAUSES[fault]
    store = cluster.new_database()
    return outages.outage(folder, f"PostgreSQL {fault}", partial(cause, cluster), reason, seconds=seconds, store=store)


@contextmanager
def away(cluster: Cluster, _scene: Stage) -> Iterator[None]:
    """Nobody listens."""
    cluster.stop()
    try:
        yield
    finally:
        cluster.start()


@contextmanager
def silent(cluster: Cluster, _scene: Stage) -> Iterator[None]:
    """It takes every connection and says nothing more."""
    stopped = family(cluster.pid)  # who begins others comes first
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def crowded(cluster: Cluster, scene: Stage) -> Iterator[None]:
    """Others have taken all its connections, those of the bridge too."""
    name = scene.store.rpartition("/")[2]
    cut = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"
    with ExitStack() as taken:
        first = taken.enter_context(cluster.connect())
        while first.execute(cut).fetchall():
            with suppress(OperationalError):
                while True:
                    taken.enter_context(cluster.connect())
        yield


CAUSES: dict[str, tuple[Cause, str]] = {
    "unreachable": (away, "Connection refused"),
    "silent": (silent, "does not answer"),
    "out of connections": (crowded, "too many clients"),
}
"""How it can be away: the cause, and words of the reason that /readyz gives."""
