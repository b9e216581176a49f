"""What the bridge is compared with, in the same run: the disk, the server alone, and handlers written by hand."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing

from beside import run_by_hand, run_ceiling, run_sink
from load import Order
from rig import INTAKE, Rig
from table import Row, p99, rate, spread, throughput


def measure_disk(rig: Rig) -> None:
    """What one synced write costs here: no commit can be faster."""
    taken = []
    with (rig.folder / "disk").open("ab", buffering=0) as file:
        for _ in range(200):
            began = time.monotonic()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            taken.append(time.monotonic() - began)
    rig.rows.append(Row("the disk: one synced write of 4 KiB", spread(taken)))
    with closing(sqlite3.connect(rig.folder / "disk.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE posts (body TEXT)")
        began = time.monotonic()
        for _ in range(500):
            connection.execute("INSERT INTO posts VALUES (?)", ["x" * 500])
        each = (time.monotonic() - began) / 500
    rig.rows.append(Row("single rows into SQLite, each synced", f"{1 / each:,.0f}/s"))


def measure_ceiling(rig: Rig) -> None:
    """What Flask on this server can do at all."""
    with run_ceiling() as (pid, port):
        rig.warm_up(port)
        for connections in rig.plan.connections:
            report, cpu = rig.load(Order(port, INTAKE, connections, rig.plan.saturated), pid)
            rig.ceiling[connections] = rate(report)
            what = f"a trivial Flask application, {connections} connections"
            rig.rows.append(Row(what, throughput(report), cpu=cpu))


def measure_by_hand(rig: Rig) -> None:
    """What people write themselves, which keeps nothing: sending within the request, or in the background."""
    for way, workers in (("inside", 2), ("thread", 1)):
        words = {"inside": "by hand, sent within the request", "thread": "by hand, sent by a thread"}[way]
        with run_sink() as sink, run_by_hand(way, sink.url, workers) as (pid, port):
            rig.warm_up(port)
            rig.settle(sink)
            if way == "inside":
                for pace in (50, 200):
                    report, cpu = rig.load(Order(port, INTAKE, 32, rig.plan.paced, pace), pid, sink)
                    took, missing = rig.arrivals(report, sink)
                    rig.by_hand_arrival[pace] = p99(took)
                    what = f"{words}, post to arrival at {pace}/s"
                    rig.rows.append(Row(what, spread(took) + missing, cpu=cpu))
            report, cpu = rig.load(Order(port, INTAKE, 16, rig.plan.saturated), pid, sink)
            if way == "inside":
                rig.by_hand = rate(report)
            arrived = len(sink.collect()) / report.seconds
            result = f"{throughput(report)}, {arrived:,.0f} delivered/s meanwhile"
            rig.rows.append(Row(f"{words}, 16 connections, {workers} processes", result, cpu=cpu))
