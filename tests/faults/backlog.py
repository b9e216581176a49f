"""A backlog after an outage, while new calls come in; and a replay of many, across a restart."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from bridge.ids import new_id
from bridge.testing import eventually
from tests.faults.judge import Verdict
from tests.faults.stage import CONFIG, Stage, stage

MOST_MEGABYTES = 150.0


def drain(folder: Path, count: int) -> Verdict:
    """So many deliveries wait for a destination that was down; it is back, and new calls come in all the while."""
    with stage(folder, CONFIG) as scene:
        _fill(scene, count)
        scene.bridge.start()
        began = time.monotonic()
        scene.load.start()
        most = 0.0
        while (left := scene.waiting()) > 100:
            most = max(most, scene.bridge.megabytes)
            assert time.monotonic() - began < 600, f"{left} still wait"
            time.sleep(0.5)
        took = time.monotonic() - began
        scene.settle()
        arrived = {(one.call, one.kind): one.at for one in scene.sink.of("everything")}
        lags = sorted(arrived[post.call, post.kind] - post.at for post in scene.load.accepted)
        p99 = lags[len(lags) * 99 // 100]
        assert p99 < 1.0, f"new calls waited {p99:.1f} s"
        assert most < MOST_MEGABYTES, f"{most:.0f} MB"
        note = f"{count / took:.0f} a second; p99 of new calls {p99 * 1000:.0f} ms; {most:.0f} MB"
        return scene.judge(f"a backlog of {count}", note=note)


def replay(folder: Path, count: int) -> Verdict:
    """So many dead deliveries are replayed while calls come in, and the bridge is killed in the middle."""
    with stage(folder, CONFIG) as scene:
        _fill(scene, count, state="dead")
        scene.bridge.start()
        scene.load.start()
        assert scene.bridge.run("replay", "--dead").returncode == 0
        eventually(lambda: scene.waiting() < count * 3 // 4, "the first quarter")
        scene.kill()
        scene.bridge.start()
        scene.settle(300)
        left = count - len({one.event_id for one in scene.sink.of("everything") if one.call.startswith("old")})
        assert not left, f"{left} have not arrived"
        return scene.judge(f"a replay of {count}, killed in the middle")


def _fill(scene: Stage, count: int, *, state: str = "pending") -> None:
    """Owe the connector `everything` so many events, each of a call of its own: copies of one that was posted."""
    scene.bridge.start()
    scene.load.play(1)
    eventually(lambda: not scene.waiting(), "the first deliveries")
    scene.bridge.stop()
    with closing(sqlite3.connect(scene.bridge.database)) as connection, connection:
        event = _row(connection, "SELECT * FROM events WHERE type = 'call.ringing' LIMIT 1")
        query = "SELECT * FROM deliveries WHERE event_id = ? AND connector = 'everything'"
        delivery = _row(connection, query, event["id"]) | {"state": state, "attempts": 1, "finished_at": None}
        at = time.time() - 60
        events, deliveries = [], []
        for number in range(count):
            call, event_id = f"old-{number}", new_id("evt", at)
            payload = json.loads(event["payload"])
            payload["id"] = event_id
            payload["data"]["call"]["id"] = payload["data"]["raw"]["call_uuid"] = call
            key = json.dumps(["bulutsantralim", "101", call])
            events.append(event | {"id": event_id, "call_key": key, "payload": json.dumps(payload)})
            owed = {"id": new_id("dlv", at), "event_id": event_id, "call_key": key, "call_id": call}
            deliveries.append(delivery | owed | {"due_at": at, "fresh_from": at})
        _insert(connection, "events", events)
        _insert(connection, "deliveries", deliveries)


def _row(connection: sqlite3.Connection, query: str, *parameters: str) -> dict[str, Any]:
    cursor = connection.execute(query, parameters)
    return dict(zip((column[0] for column in cursor.description), cursor.fetchone(), strict=True))


def _insert(connection: sqlite3.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    marks = ", ".join("?" * len(rows[0]))
    connection.executemany(
        f"INSERT INTO {table} ({', '.join(rows[0])}) VALUES ({marks})", [tuple(row.values()) for row in rows]
    )
