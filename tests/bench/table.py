"""What was measured, in words and in one table."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from load import Report
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """A line of the table. `reached` None: there is no goal."""

    what: str
    result: str
    goal: str = ""
    reached: bool | None = None
    cpu: str = ""


def rate(report: Report) -> float:
    """Posts a second."""
    return len(report.latencies) / report.seconds


def p99(values: Sequence[float]) -> float:
    """The 99th percentile."""
    return statistics.quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else float("inf")


def spread(seconds: Sequence[float]) -> str:
    """Median, 99th percentile and maximum."""
    if not seconds:
        return "nothing"
    half, tail, most = (value * 1000 for value in (statistics.median(seconds), p99(seconds), max(seconds)))
    return f"p50 {half:.1f} ms, p99 {tail:.1f} ms, max {most:.0f} ms"


def throughput(report: Report) -> str:
    """How many a second, how long each took, and how many were refused."""
    refused = f", {report.refused} REFUSED" if report.refused else ""
    return f"{rate(report):,.0f}/s, {spread(report.latencies)}{refused}"


def print_table(rows: Sequence[Row], seconds: float) -> None:
    """Print the table; `seconds` is how long all took."""
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
