"""Turns: how often a target may be called (`rate = "30/m"`), counted by all processes on one store together.

A turn is a row with the moment it was taken: at most so many in any window of that length, also over a restart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, or_, select

from bridge.health import Place
from bridge.ids import new_id
from bridge.store import schema
from bridge.store.bulk import insert_rows, select_in


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """Ask for one turn of a target of which `count` may begin in `period` seconds; `now` since the epoch."""

    place: Place
    count: int
    period: float
    now: float


def take_turns(connection: Connection, requests: Sequence[TurnRequest]) -> list[float]:
    """Take a turn for each; returns the seconds until there is one: 0 where it was taken."""
    # Whoever counts does so alone.
    names = sorted({request.place[0] for request in requests})
    select_in(connection, schema.connectors, ("name",), "name", names, lock=True)
    return [_take(connection, request) for request in requests]


def _take(connection: Connection, request: TurnRequest) -> float:
    connector, target = request.place
    whose = {"of_connector": connector, "of_target": target}
    # What lies ahead of the clock comes from one that was set back since, or is about to be.
    connection.execute(_FORGET, whose | {"begin": request.now - request.period, "end": request.now + request.period})
    oldest: float | None = connection.execute(_NTH_LATEST, whose | {"before": request.count - 1}).scalar()
    if oldest is not None:
        return max(0.001, oldest + request.period - request.now)
    turn = {"id": new_id("trn", request.now), "connector": connector, "target": target, "at": request.now}
    insert_rows(connection, schema.turns, [turn])
    return 0.0


_c = schema.turns.c
_OF_TARGET = (_c.connector == bindparam("of_connector"), _c.target == bindparam("of_target"))
_FORGET = delete(schema.turns).where(*_OF_TARGET, or_(_c.at <= bindparam("begin"), _c.at > bindparam("end")))
_NTH_LATEST = select(_c.at).where(*_OF_TARGET).order_by(_c.at.desc()).limit(1).offset(bindparam("before"))
