"""Destinations that misbehave: each costs its own deliveries at most."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from statistics import median

from bridge.testing import Answer, Arrival, eventually, free_port
from tests.faults import servers
from tests.faults.judge import Verdict
from tests.faults.stage import CONFIG, Stage, stage

TALKS = {
    "black_hole": servers.black_hole,
    "reset_after_headers": servers.reset_after_headers,
    "slow_drip": servers.slow_drip,
    "gigabyte": servers.gigabyte,
    "gzip_bomb": servers.gzip_bomb,
    "endless_redirects": servers.endless_redirects,
}
MOST_GROWTH = 50.0
"""Megabytes the worker may grow while all of them misbehave at once."""
HOUR = 3600.0


def misbehave(folder: Path, calls: int) -> Verdict:
    """All at once, beside connectors that work. What they get is dead in the end; what works does not notice."""
    with ExitStack() as stack:
        urls = {name: stack.enter_context(servers.server(talk)) for name, talk in TALKS.items()}
        urls["wrong_name"] = stack.enter_context(servers.server(servers.black_hole, servers.wrong_name()))
        urls["refused"] = f"http://127.0.0.1:{free_port()}"
        config = CONFIG + "".join(_connector(name, url) for name, url in urls.items())
        scene = stack.enter_context(stage(folder, config))
        scene.bridge.start()
        before = most = scene.bridge.megabytes
        began = time.monotonic()
        scene.load.play(calls)
        eventually(lambda: len(scene.sink.taken) >= len(scene.load.accepted), "the deliveries of what works")
        took = time.monotonic() - began
        while scene.waiting():
            most = max(most, scene.bridge.megabytes)
            assert most - before < MOST_GROWTH, f"the worker has grown by {most - before:.0f} MB"
            assert time.monotonic() - began < 60 + 10 * calls, "some deliveries do not end"
            time.sleep(0.05)
        states = _states(scene)
        # What answered 200 has taken it, whatever it said then.
        assert {states[name] for name in urls} <= {"dead", "delivered"}, states
        assert {states[name] for name in ("black_hole", "refused", "wrong_name", "endless_redirects")} == {"dead"}, (
            states
        )
        note = f"the others were done after {took:.1f} s; memory +{most - before:.0f} MB"
        return scene.judge(f"{len(urls)} destinations that misbehave at once", note=note)


def retry_after(folder: Path) -> Verdict:
    """Whatever `Retry-After` says, the next try comes: as asked where that makes sense, after an hour at most."""
    now = datetime.now(UTC)
    asked = {
        "seconds": "1",
        "date": format_datetime(now + timedelta(seconds=1), usegmt=True),
        "past": format_datetime(now - timedelta(days=400), usegmt=True),
        "negative": "-30",
        "nonsense": "soon, I hope",
        "absurd": "1" + "0" * 40,
        "far": format_datetime(now + timedelta(days=4000), usegmt=True),
    }
    refused: set[str] = set()

    def ask_to_wait(arrival: Arrival) -> Answer:
        name = arrival.path.strip("/")
        if name in refused or name not in asked:
            return Answer()
        refused.add(name)
        return Answer(503, headers={"Retry-After": asked[name]})

    config = CONFIG + "".join(_connector(name, f"SINK/{name}", '["0.1s"]') for name in asked)
    with stage(folder, config) as scene:
        scene.sink.behave = ask_to_wait
        scene.bridge.start()
        scene.load.play(1)
        eventually(lambda: refused == asked.keys(), "the refusals")
        soon = asked.keys() - {"absurd", "far"}
        eventually(lambda: all(_states(scene)[name] == "delivered" for name in soon), "the second tries")
        waits = scene.books.rows("SELECT connector, due_at FROM deliveries WHERE state = 'pending'")
        assert {name for name, _ in waits} <= {"absurd", "far"}
        assert all(due_at < time.time() + HOUR + 60 for _, due_at in waits), waits
        return scene.judge("Retry-After as seconds, a date, in the past, negative, nonsense, absurd")


def black_hole(folder: Path, seconds: float, rounds: int = 3) -> Verdict:
    """How much later the others deliver, at 99 of 100 events, while one destination of three is a black hole: against
    three that work, in turns, so that what else the machine does weighs on both alike."""
    healthy, hole = [], []
    with servers.server(servers.black_hole) as url:
        for number in range(rounds):
            healthy.append(_latency(folder / f"healthy-{number}", _third("SINK/third"), seconds)[0])
            took, verdict = _latency(folder / f"hole-{number}", _third(url), seconds)
            hole.append(took)
    before, beside = median(healthy), median(hole)
    times = f"{before * 1000:.1f} ms while it works, {beside * 1000:.1f} ms while it does not"
    return replace(verdict, note=f"p99 of the others: {times}: {beside / before:.2f}x")


def _third(url: str) -> str:
    return CONFIG + f'[connectors.third]\nkind = "webhook"\non = ["call.*"]\nurl = "{url}"\n'


def _latency(folder: Path, config: str, seconds: float) -> tuple[float, Verdict]:
    """Seconds from a post to its arrival, at 99 of 100 events."""
    with stage(folder, config) as scene:
        scene.bridge.start()
        scene.load.play(20)
        warm = len(scene.load.accepted)
        scene.load.start()
        time.sleep(seconds)
        scene.load.stop()
        eventually(lambda: len(scene.sink.of("everything")) >= len(scene.load.accepted), "the deliveries")
        arrived = {(one.call, one.kind): one.at for one in scene.sink.of("everything")}
        took = sorted(arrived[post.call, post.kind] - post.at for post in scene.load.accepted[warm:])
        return took[len(took) * 99 // 100], scene.judge("one destination is a black hole", paused={"third"})


def _connector(name: str, url: str, schedule: str = "[]") -> str:
    return (
        f'[connectors.{name}]\nkind = "webhook"\non = ["call.ringing"]\nurl = "{url}"\ntimeout = "1s"\n'
        f"retry = {{schedule = {schedule}, jitter = 0}}\nbreaker = {{failures = 0}}\n"
    )


def _states(scene: Stage) -> dict[str, str]:
    """The state of the last delivery of each connector."""
    return dict(scene.books.rows("SELECT connector, state FROM deliveries ORDER BY id"))
