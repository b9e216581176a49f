"""The wall clock may jump, and what waits moves along: set forward, it makes nothing due or too old; set back, it makes
nothing wait longer.

SQLite: kept with the store is by how much the wall clock is ahead of the time since the boot. So each jump is moved
along with once: by one of all processes of the machine, or by the next one to start. PostgreSQL: nothing is moved for
the clocks of the machines, as nobody goes by them; for that of the server it is moved once, see serverclock.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, delete, select, update

from bridge.store import schema
from bridge.store.bulk import insert_rows
from bridge.store.dialects import ANYTHING, dialect_of
from bridge.store.outcomes import load_healths, save_healths
from bridge.store.serverclock import CLOCK, FRESH_SECONDS, LEAST_JUMP, ServerClock

_marks = schema.heartbeat
_waiting = schema.deliveries.c


def keep_time(connection: Connection, offsets: Sequence[float]) -> list[float]:
    """Move what waits by as much as the wall clock has jumped; returns by how many seconds, each.

    An offset is the wall clock less the time since the boot, in seconds.
    """
    boot = _boot()
    if not boot or connection.dialect.name != "sqlite":
        return [0.0] * len(offsets)
    return [_keep_time(connection, f"clock of boot {boot}", offset) for offset in offsets]


def _keep_time(connection: Connection, mark: str, offset: float) -> float:
    known = connection.execute(select(_marks.c.beat_at).where(_marks.c.name == mark)).scalar()
    if known is None:  # the first process since the boot
        connection.execute(delete(_marks).where(_marks.c.name.like("clock of boot %")))
        insert_rows(connection, _marks, [{"name": mark, "beat_at": offset}])
        return 0.0
    jump = offset - known
    if abs(jump) < LEAST_JUMP:
        return 0.0
    connection.execute(update(_marks).where(_marks.c.name == mark).values(beat_at=offset))
    _move(connection, jump)
    return float(jump)


def follow_server(connection: Connection, clocks: Sequence[ServerClock]) -> list[float]:
    """Move what waits by as much as the clock of the server has jumped; returns by how many seconds, each: 0 where
    another process has done it."""
    return [_follow_server(connection, clock) for clock in clocks]


def _follow_server(connection: Connection, clock: ServerClock) -> float:
    dialect = dialect_of(connection)
    dialect.lock_waiting(connection)
    now, jump = clock(), clock.jump
    beat = connection.execute(select(_marks.c.beat_at).where(_marks.c.name == CLOCK)).scalar()
    if not jump or (beat is not None and abs(now + jump - beat) < FRESH_SECONDS):
        return 0.0
    _move(connection, jump)
    insert_rows(connection, _marks, [{"name": CLOCK, "beat_at": clock() + jump}], replace=("beat_at",))
    dialect.announce(connection, ANYTHING, [""])  # so that the others look what time it is
    return jump


def _move(connection: Connection, jump: float) -> None:
    connection.execute(
        update(schema.deliveries)
        .where(_waiting.state == "pending")
        .values(
            due_at=_waiting.due_at + jump,
            hold_until=_waiting.hold_until + jump,
            fresh_from=_waiting.fresh_from + jump,
        )
    )
    sources = schema.sources
    connection.execute(
        update(sources).values(
            last_event_at=sources.c.last_event_at + jump, silence_told_at=sources.c.silence_told_at + jump
        )
    )
    before = load_healths(connection, None)
    save_healths(connection, before, {place: health.moved(jump) for place, health in before.items()})


def _boot() -> str:
    """This boot of this machine; empty where that is not known."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
