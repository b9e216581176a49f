"""What processes cost, as Linux tells it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # it has ended meanwhile
                stat = (folder / "stat").read_text()
                parent = int(stat.rpartition(")")[2].split()[1])  # the name before it may hold anything
                children.setdefault(parent, []).append(int(folder.name))
    found = [pid]
    for one in found:
        found.extend(children.get(one, []))
    return found


def cpu_seconds(pids: list[int]) -> float:
    """CPU time the processes have used so far."""
    # The CPU clock of another process (clock_getcpuclockid): exact, where /proc/PID/stat counts hundredths of a second.
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def pss_megabytes(pids: list[int]) -> float:
    """Memory of the processes (10^6 bytes); what they share counts once."""
    kilobytes = 0
    for pid in pids:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        kilobytes += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return kilobytes * 1024 / 1e6


@contextmanager
def bound_to(core: int) -> Iterator[None]:
    """What is started meanwhile stays on one core, counted from 0."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(allowed)[core]})  # the children inherit it
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
