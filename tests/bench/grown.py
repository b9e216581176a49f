"""A store that has grown: copies of one call, so that what a store of a year costs can be measured in minutes."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

EVENTS_OF_A_CALL = 3
_NUMBERS = "WITH RECURSIVE n(i) AS (VALUES (:first) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :end)"
_KEY = """'["bulutsantralim", "101", "grown-' || (i / :each) || '"]'"""
_EVENT = "printf('evt_%016x%012x', :at, i)"
_DELIVERY = "printf('dlv_%016x%012x', :at, i)"
_CALLS = f"""
{_NUMBERS} INSERT INTO calls
    SELECT {_KEY}, source, tenant, 'grown-' || (i / :each), record, call, state, events, :then, :then, outside_party
    FROM n, (SELECT * FROM calls WHERE state != 'ringing' LIMIT 1) WHERE i % :each = 0
"""
_EVENTS = f"""
{_NUMBERS} INSERT INTO events SELECT {_EVENT}, type, source, {_KEY}, :then, replace(payload, call_uuid, 'grown-' || i)
    FROM n, (SELECT *, json_extract(payload, '$.data.call.id') AS call_uuid FROM events LIMIT 1)
"""
_DELIVERIES = f"""
{_NUMBERS} INSERT INTO deliveries (id, event_id, event_type, call_key, call_id, position, connector, target, state,
                                   attempts, step, due_at, fresh_from, finished_at)
    SELECT {_DELIVERY}, {_EVENT}, 'call.ringing', {_KEY}, 'grown-' || (i / :each), i % :each, 'sink', '', :state,
           :state = 'delivered', 0, :then, :then, iif(:state = 'delivered', :then, NULL) FROM n
"""
_ATTEMPTS = f"""
{_NUMBERS} INSERT INTO attempts SELECT printf('att_%016x%012x', :at, i), {_DELIVERY}, 1, :then, 0.01, 'delivered', 200,
                                       NULL, 'ok' FROM n
"""


def grow(store: Path, first: int, end: int, *, waiting: int = 0) -> None:
    """Add events number `first` up to `end` to a store that holds at least one and that nobody uses, each delivered to
    the connector `sink` an hour ago; the last `waiting` of them still wait."""
    then = time.time() - 3600
    moment = {"at": int(then * 1e6), "then": then, "each": EVENTS_OF_A_CALL}
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        everything, delivered = {"first": first, "end": end}, {"first": first, "end": end - waiting}
        connection.execute(_CALLS, moment | everything)
        connection.execute(_EVENTS, moment | everything)
        if delivered["first"] < delivered["end"]:
            connection.execute(_DELIVERIES, moment | delivered | {"state": "delivered"})
            connection.execute(_ATTEMPTS, moment | delivered)
        if waiting:
            connection.execute(_DELIVERIES, moment | {"first": end - waiting, "end": end, "state": "pending"})
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with store.open("rb") as file:
        os.fsync(file.fileno())  # or the first checkpoint of the bridge would have to
