"""Measures how fast the bridge is and what it costs, and prints one table. Linux only; `make bench` runs it.

The bridge is a real one: `callbridge serve` on SQLite with `synchronous=FULL`. Server, load and receiver share the same
two cores, so a ratio to the ceiling (a trivial Flask application served the same way, in the same run) says more than a
number from another machine. This is a measurement and no test: it ends with 0 whatever it finds.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from compared import measure_by_hand, measure_ceiling, measure_disk
from csvfile import measure_a_csv_file
from growth import measure_growth
from rig import Plan, Rig
from speed import measure_in_two_processes, measure_with_a_webhook, measure_without_connectors
from table import print_table

CORES = 2


def main() -> None:
    """Measure everything, print the table."""
    arguments = argparse.ArgumentParser(description="Measure the bridge.")
    arguments.add_argument("--quick", action="store_true", help="under a minute, less exact, no grown store")
    arguments.add_argument("--folder", default="/var/tmp", help="where the stores are made: on a real disk")
    chosen = arguments.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])  # the children inherit it
    began = time.monotonic()
    quick = Plan(saturated=1.2, paced=2, idle=1, connections=(16,), quiet=2)
    whole = Plan(saturated=4, paced=6, idle=5, connections=(16, 64), quiet=60, cross_check=True, growth=True)
    plan = quick if chosen.quick else whole
    with tempfile.TemporaryDirectory(prefix="callbridge-bench-", dir=chosen.folder) as folder:
        rig = Rig(Path(folder), plan)
        measure_disk(rig)
        measure_ceiling(rig)
        measure_by_hand(rig)
        measure_without_connectors(rig)
        measure_with_a_webhook(rig)
        measure_in_two_processes(rig)
        if plan.growth:
            measure_growth(rig)
        measure_a_csv_file(rig)
    print_table(rig.rows, time.monotonic() - began)


if __name__ == "__main__":
    main()
