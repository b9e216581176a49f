"""A stage for a fault: a real bridge, the PBX in front of it and the receiver behind it."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from click.testing import CliRunner

from bridge.cli import main
from bridge.testing import BridgeProcess, eventually
from tests.faults.books import Books
from tests.faults.judge import Verdict, judge, read_store
from tests.faults.load import Load
from tests.faults.sink import Sink

QUICK = """timeout = "5s"
retry = {schedule = ["0.1s", "0.1s", "0.2s", "0.5s", "1s", "2s", "5s", "10s"], jitter = 0}
breaker = {failures = 0}
"""
CONFIG = f"""
[log]
level = "warning"
[connectors.everything]
kind = "webhook"
on = ["call.*", "other"]
url = "SINK/everything"
{QUICK}
[connectors.missed]
kind = "webhook"
on = ["call.missed"]
url = "SINK/missed"
{QUICK}
"""
AIMED = Path(__file__).parent / "aimed.py"


class Victim(BridgeProcess):
    """A bridge that can be told where to die."""

    def aim(self, boundary: str, count: int = 1) -> None:
        """From the next start on: die at the `count`th time it comes to a boundary of `aimed.py`."""
        self._program = (sys.executable, "-P", str(AIMED), boundary, str(count))

    def spare(self) -> None:
        """From the next start on: live."""
        self._program = BridgeProcess._program

    @property
    def is_running(self) -> bool:
        """Whether it has not died yet."""
        return self._process is not None and self._process.poll() is None

    @property
    def worker(self) -> int:
        """The process that does the work."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return int(eventually(lambda: children.read_text().split(), "the worker")[0])

    @property
    def megabytes(self) -> float:
        """Memory of the worker (10^6 bytes)."""
        status = Path(f"/proc/{self.worker}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6


class Stage:
    """One fault is played on it. `disruptions` are the moments across which an answer may be lost.

    `store` is the URL of another store than an SQLite file of the bridge's own.
    """

    def __init__(
        self, folder: Path, config: str, environ: Mapping[str, str] | None = None, store: str | None = None
    ) -> None:
        self.sink = Sink()
        self.bridge = Victim(folder, config.replace("SINK", self.sink.url), environ=environ, store=store)
        self.store = store or f"sqlite:///{self.bridge.database}"
        self.books = Books(self.store)
        self.load = Load([f"{self.bridge.url}/event"])
        self.disruptions: list[float] = []

    def disrupt(self) -> None:
        """Note that answers may be lost now."""
        self.disruptions.append(time.monotonic())

    def kill(self) -> None:
        """kill -9 of the whole bridge."""
        self.bridge.kill()
        self.disrupt()

    def wait_for_death(self) -> None:
        """Wait until the bridge has died where it was aimed at."""
        self.bridge.wait(60)
        self.disrupt()

    def replay_dead(self) -> None:
        """`callbridge replay --dead`, beside the bridge."""
        done = CliRunner().invoke(main, ["replay", "--dead", "--config", str(self.bridge.config)])
        assert done.exit_code == 0, done.output

    def settle(self, within: float = 60.0) -> None:
        """Stop the load and wait until nothing waits that can be delivered."""
        self.load.stop()
        eventually(lambda: not self.waiting(), "the end of what waits", within)

    def waiting(self) -> int:
        """How many deliveries wait."""
        ((count,),) = self.books.rows("SELECT count(*) FROM deliveries WHERE state = 'pending'")
        return int(count)

    def judge(self, fault: str, *, paused: Collection[str] = (), note: str = "") -> Verdict:
        """The verdict on what has happened here."""
        stored = read_store(self.books)
        taken = list(self.sink.taken)
        return judge(fault, self.load.accepted, taken, stored, self.disruptions, paused=paused, note=note)

    def close(self) -> None:
        """End everything."""
        self.load.stop()
        self.bridge.close()
        self.sink.close()


@contextmanager
def stage(
    folder: Path, config: str = CONFIG, *, environ: Mapping[str, str] | None = None, store: str | None = None
) -> Iterator[Stage]:
    """A stage that is cleared at the end. The bridge is not started yet."""
    folder.mkdir(parents=True, exist_ok=True)
    one = Stage(folder, config, environ, store)
    try:
        yield one
    finally:
        one.close()
