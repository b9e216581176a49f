"""Measures how many deliveries a second 1, 2 and 4 workers make from one PostgreSQL, and how many posts one takes.

Run it by hand: `.venv/bin/python tests/bench/workers.py`. Everything shares this machine, the database (with fsync on),
the receiver and the load too: with more workers than cores it shows what they cost each other, not how far it scales.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from load import Order  # noqa: E402  # of this folder
from processes import cpu_seconds, family  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from bridge.store import Database, queries  # noqa: E402
from bridge.testing import BridgeProcess, eventually  # noqa: E402
from tests.plugins_for_tests.cluster import Cluster, find_binaries, running_cluster  # noqa: E402

TOKEN = "bench-token"
CONFIG = '[intake]\ntokens = ["{token}"]\n[connectors.sink]\nkind = "webhook"\non = ["call.*"]\nurl = "{url}"\n'
WORKERS = (1, 2, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long the posts come")
    seconds = parser.parse_args().seconds
    binaries = find_binaries()
    if binaries is None:
        sys.exit("PostgreSQL is not installed on this machine")
    columns = ("workers", "posts/s", "deliveries/s", "KB kept of each")
    cpu = ("of the intake", "of its database", "of the workers", "of their database")
    table = Table(*columns, *(f"CPU ms {whose}" for whose in cpu))
    with running_cluster(binaries, fsync="on") as cluster:
        for workers in WORKERS:
            table.add_row(str(workers), *_measure(cluster, workers, seconds))
    Console(width=140).print(table)


def _measure(cluster: Cluster, workers: int, seconds: float) -> list[str]:
    url = cluster.new_database()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = CONFIG.format(token=TOKEN, url=f"http://127.0.0.1:{stack.enter_context(_sink())}/")
        hosts = [
            BridgeProcess(folder / f"{number}", config, store=url, options=_options(number))
            for number in range(workers + 1)
        ]
        for host in hosts:
            stack.callback(host.close)
            host.start()
        intake, *others = hosts
        intake.run("connectors", "pause", "sink")
        took = Stopwatch(cluster, [intake])
        taken = _load(Order(intake.port, f"/event/{TOKEN}", 16, seconds))
        posting = took.each(taken)
        database = Database(url)
        stack.callback(database.close)
        waiting = _waiting(database)
        took = Stopwatch(cluster, others)
        intake.run("connectors", "resume", "sink")
        eventually(lambda: _waiting(database) == 0, "the end of the backlog", within=600)
        delivering = took.each(waiting)
        name = url.rpartition("/")[2]
        ((size,),) = cluster.execute(
            "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' "
            "AND relname IN ('calls', 'events', 'deliveries', 'attempts')",
            name,
        )
        return [
            f"{posting.rate:,.0f}",
            f"{delivering.rate:,.0f}",
            f"{size / taken / 1000:.1f}",
            *posting.cpu,
            *delivering.cpu,
        ]


@dataclass(frozen=True)
class Took:
    """How many a second, and the CPU time of each in ms: of the bridges, and of the database."""

    rate: float
    cpu: tuple[str, str]


class Stopwatch:
    """Measures from now on."""

    def __init__(self, cluster: Cluster, hosts: Sequence[BridgeProcess]) -> None:
        self._pids = ([pid for host in hosts for pid in family(host.pid)], family(cluster.pid))
        self._cpu = [cpu_seconds(pids) for pids in self._pids]
        self._began = time.monotonic()

    def each(self, count: int) -> Took:
        """What each of so many has taken."""
        rate = count / (time.monotonic() - self._began)
        bridges, database = (cpu_seconds(pids) - before for pids, before in zip(self._pids, self._cpu, strict=True))
        return Took(rate, (f"{bridges / count * 1000:.2f}", f"{database / count * 1000:.2f}"))


def _options(number: int) -> list[str]:
    return ["--role", "worker" if number else "intake"]


def _waiting(database: Database) -> int:
    with database.reader.begin() as connection:
        return queries.waiting(connection, ["sink"])["sink"]


def _load(order: Order) -> int:
    """Post for a while; returns how many were taken."""
    words = [sys.executable, str(HERE / "load.py"), json.dumps(asdict(order))]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return len(json.loads(done.stdout)["latencies"])


@contextmanager
def _sink() -> Iterator[int]:
    """The port of a receiver that answers at once."""
    words = [sys.executable, str(HERE / "sink.py")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sink:
        assert sink.stdin is not None
        assert sink.stdout is not None
        yield int(sink.stdout.readline())
        sink.stdin.close()


if __name__ == "__main__":
    main()
