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
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from bridge.testing import eventually
from tests.bench.processes import family
from tests.faults import clocks, kills, machines, outages, stopped
from tests.faults.judge import Verdict
from tests.faults.stage import stage
from tests.plugins_for_tests.cluster import Cluster, Tenant, find_binaries, running_cluster

Cause = Callable[[Cluster, Tenant], AbstractContextManager[object]]
Play = Callable[[Path, Cluster], Verdict]


def plays(each: int, seconds: float) -> Iterator[tuple[str, Callable[[Path], Verdict]]]:
    """The long pass: so many kills at each boundary, every outage so many seconds long."""
    boundaries = [boundary for boundary in kills.BOUNDARIES for _ in range(each)]
    told: dict[str, Play] = {
        f"{len(boundaries)} times kill -9, at every boundary": _on(kills.kill, boundaries=boundaries, seed=1),
        "a worker stopped past its lease": _on(stopped.stop_past_lease),
        "of 4 bridges 2 killed, 1 added": _on(machines.kill_some, count=4, killed=2, added=1),
        "3 bridges restarted in turn, 6 times": _on(machines.restart_in_turn, count=3, rounds=2),
        "a wall clock set forward and back an hour": _on(clocks.set_clock, posts=200),
        "it crashes 20 times under traffic": partial(crash, times=20),
        **{cause: partial(outage, cause=cause, seconds=seconds) for cause in CAUSES},
    }
    for name, play in told.items():
        fault = f"PostgreSQL: {name}"
        yield fault, partial(_play, fault=fault, play=play)


def _on(play: Callable[..., Verdict], **options: object) -> Play:
    """A fault that does not ask what kind of store it is played on."""
    return lambda folder, cluster: play(folder, store=cluster.new_database(), **options)


def _play(folder: Path, fault: str, play: Play) -> Verdict:
    binaries = find_binaries()
    if binaries is None:
        return Verdict(fault, note="not played: PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with running_cluster(binaries, fsync="on") as cluster:
        return replace(play(folder, cluster), fault=fault)


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


def outage(folder: Path, cluster: Cluster, cause: str, seconds: float) -> Verdict:
    """It cannot be used for so many seconds."""
    away, reason = CAUSES[cause]
    tenant = Tenant(cluster)
    return outages.outage(
        folder,
        cause,
        lambda _scene: away(cluster, tenant),
        reason,
        seconds=seconds,
        store=tenant.url,
    )


@contextmanager
def gone(cluster: Cluster, _tenant: Tenant) -> Iterator[None]:
    """Nobody listens."""
    cluster.stop()
    try:
        yield
    finally:
        cluster.start()


@contextmanager
def silent(cluster: Cluster, _tenant: Tenant) -> Iterator[None]:
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
def crowded(_cluster: Cluster, tenant: Tenant) -> Iterator[None]:
    """It lets the bridge have no more connections, and ends those it has."""
    tenant.may_connect(0)
    try:
        yield
    finally:
        tenant.may_connect(-1)


CAUSES: dict[str, tuple[Cause, str]] = {
    "nobody listens": (gone, "Connection refused"),
    "it falls silent": (silent, "does not answer"),
    "it is out of connections": (crowded, "too many connections"),
}
"""How it can be away: the cause, and words of the reason that /readyz gives."""
