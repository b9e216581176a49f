"""Plays every fault and prints what became of each post: `make faults`. Ends with 1 if a promise is broken.

python -m tests.faults.run [--kills N] [--fuzzing SECONDS] [--only WORD …]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults import (
    backlog,
    clients,
    clocks,
    destinations,
    inputs,
    kills,
    machines,
    outages,
    plugins,
    postgresql,
    stopped,
)
from tests.faults.judge import Verdict

OUTAGE_SECONDS = 30.0

Play = Callable[[Path], Verdict]
"""Plays a fault in a folder of its own."""


def plays(count: int, fuzzing: int) -> Iterator[tuple[str, Play]]:
    """Every fault of the long pass, with `count` kills in all and so many seconds of fuzzing."""
    each = -(-count // len(kills.BOUNDARIES))
    for seed, boundary in enumerate(kills.BOUNDARIES):
        yield f"kill {boundary}", partial(kills.kill, boundaries=[boundary] * each, seed=seed)
    for fault, (cause, reason) in outages.CAUSES.items():
        yield fault, partial(outages.outage, fault=fault, cause=cause, reason=reason, seconds=OUTAGE_SECONDS)
    yield "disk full", outages.fill_disk
    yield "damaged at the start", outages.refused_at_start
    yield "worker stopped", stopped.stop_past_lease
    yield "SQLite: wall clock", partial(clocks.set_clock, store=None, posts=200)
    yield "SQLite: machines killed", partial(machines.kill_some, store=None, count=2, killed=1, added=0)
    yield "SQLite: machines restarted", partial(machines.restart_in_turn, store=None, count=3, rounds=2)
    yield from postgresql.plays(each=-(-each // 2), seconds=OUTAGE_SECONDS)
    yield "destinations misbehave", partial(destinations.misbehave, calls=5)
    yield "retry-after", destinations.retry_after
    yield "black hole", partial(destinations.black_hole, seconds=15.0)
    yield "plugins misbehave", partial(plugins.misbehave, calls=10)
    yield "plugin exits", partial(plugins.kill_process, mood="exits", calls=10)
    yield "plugin eats memory", partial(plugins.kill_process, mood="eats", calls=10)
    yield "fuzzer", partial(inputs.fuzz, seconds=fuzzing)
    yield "clients", partial(clients.crowd, count=1000)
    yield "backlog", partial(backlog.drain, count=100_000)
    yield "replay", partial(backlog.replay, count=10_000)


def main() -> None:
    """Play them one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how often the bridge is killed in all")
    parser.add_argument("--fuzzing", type=int, default=600, help="seconds of coverage-guided fuzzing")
    parser.add_argument("--only", nargs="*", default=[], help="only faults with one of these words in their name")
    chosen = parser.parse_args()
    played = list(plays(chosen.kills, chosen.fuzzing))
    wanted = [one for one in played if not chosen.only or any(word in one[0] for word in chosen.only)]
    if not wanted:
        parser.error("no fault has that in its name; there are: " + ", ".join(name for name, _ in played))
    console = Console(width=None if sys.stdout.isatty() else 200)
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory(prefix="callbridge-faults-") as folder:
        for number, (name, play) in enumerate(wanted):
            began = time.monotonic()
            verdict = _played(name, play, Path(folder) / str(number))
            took = time.monotonic() - began
            console.print(f"{verdict.fault}: {'holds' if verdict.holds else 'BROKEN'} ({took:.0f} s)", highlight=False)
            verdicts.append(verdict)
    console.print(_table(verdicts))
    for verdict in verdicts:
        for wrong in verdict.wrong[:10]:
            console.print(f"{verdict.fault}: {wrong}", highlight=False)
    sys.exit(0 if all(verdict.holds for verdict in verdicts) else 1)


def _played(name: str, play: Play, folder: Path) -> Verdict:
    try:
        return play(folder)
    except Exception:  # noqa: BLE001  # one fault that cannot be played must not hide the others
        log = folder / "bridge.log"
        said = log.read_text()[-2000:] if log.exists() else ""
        return Verdict(name, wrong=[f"{traceback.format_exc()}\n{said}"])


def _table(verdicts: list[Verdict]) -> Table:
    table = Table("fault")
    for column in ("accepted", "delivered", "kept", "lost", "repeated"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    for one in verdicts:
        counts = map(str, (one.accepted, one.delivered, one.kept, one.lost, one.repeated))
        said = "holds" if one.holds else "BROKEN"
        table.add_row(one.fault, *counts, f"{said}: {one.note}" if one.note else said)
    return table


if __name__ == "__main__":
    main()
