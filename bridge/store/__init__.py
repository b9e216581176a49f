"""The store: what the bridge keeps, and the one way to it.

`Store` is the store of one serving process: a writer thread that commits together what many threads ask for, and
connections to read with. The command line uses `Database` and the modules of queries directly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, tzinfo
from typing import Any, cast

from sqlalchemy import Connection, update
from sqlalchemy.exc import SQLAlchemyError

from bridge.health import Health, Place
from bridge.interpret import Arrival, Interpreter
from bridge.model import Trouble
from bridge.store import schema
from bridge.store.arrivals import Accepted, Arrivals, Aside, Route, keep_aside
from bridge.store.bulk import insert_rows, select_in
from bridge.store.claiming import Claimed, ClaimRequest, claim, claim_one
from bridge.store.database import Database, store_error
from bridge.store.deliveries import Claim, Ending, Leasing, release
from bridge.store.dialects import ANYTHING, Hear, Watch
from bridge.store.lapses import expire, leases_held, oldest_waiting, release_leases
from bridge.store.leases import is_dead
from bridge.store.outcomes import Concluded, Outcomes, change_health, load_healths, make_places
from bridge.store.pruning import delete_old, find_old
from bridge.store.serverclock import LEAST_JUMP, uptime
from bridge.store.targets import settle_targets
from bridge.store.timekeeping import follow_server, keep_time
from bridge.store.turns import TurnRequest, take_turns
from bridge.store.writer import Work, Writer

INTAKE_TIMEOUT = 10.0
"""Seconds a post waits for its commit before it is answered 503: longer than another program's usual write lock."""
RELEASE_TIMEOUT = 10.0
"""Seconds after which a claim that cannot be given back is left to the end of its lease."""
TURN_TIMEOUT = 5.0
"""Seconds a delivery waits to be counted; its lease has them to spare."""
GIVE_WAY_SECONDS = 0.1
"""Seconds a delivery waits at most for a crowd of posts: it comes late then, but it does not stand still."""


class Store:
    """Everything the serving process asks of the store. All methods may be called from any thread.

    `route` says whom an event is owed to, `leasing` what this process can deliver at once, `timezone` by whose clock
    troubles are stamped. Every method raises StoreError where the store cannot be used now.
    """

    def __init__(
        self,
        database: Database,
        interpreter: Interpreter,
        route: Route,
        *,
        leasing: Leasing | None = None,
        clock: Callable[[], float] = time.time,
        uptime: Callable[[], float] = uptime,
        timezone: tzinfo = UTC,
    ) -> None:
        self._database = database
        self._writer = Writer(database, self._keep_time)
        self._arrivals = Arrivals(interpreter, route, leasing, clock)
        self._shift = _no_shift if database.clock is None else database.clock.shift
        self._outcomes = Outcomes(route, timezone, self._shift)
        self._clock = clock
        self._uptime = uptime
        self._offset: float | None = None
        self._watch: Watch | None = None

    def start(self, sources: Sequence[str], places: Sequence[Place], hear: Hear = lambda _kind, _name: None) -> None:
        """Start the writer; make a row for each that is configured, and take back what dead processes had claimed.

        `hear` is told what other processes have written.
        """
        with self.reading() as connection:
            self._database.ask_time(connection)
        self._writer.start(lambda: hear(ANYTHING, ""))
        self._writer.call(_prepare, (sources, places))
        self.release_dead()
        self._watch = self._database.watch(hear)
        self._watch.start()

    def stop(self) -> None:
        """Commit what has been asked for, and close."""
        if self._watch is not None:
            self._watch.stop()
        self._writer.stop()
        self._database.close()

    def leads(self) -> bool:
        """Whether this process is the one of all on the store that does what only one need do."""
        return self._watch is not None and self._watch.leads()

    def accept(self, arrival: Arrival, then: Callable[[Accepted | Exception], None]) -> None:
        """Keep an arrival. `then` is told after it is committed and synced to disk, or why it is not: StoreError, or
        what the arrival itself raised. It must not wait for the store."""
        self._writer.promise(self._accept, arrival, then, INTAKE_TIMEOUT)

    def _accept(self, connection: Connection, arrivals: Sequence[Arrival]) -> list[Accepted]:
        arrivals = [one.moved(self._shift(one.received_at.timestamp())) for one in arrivals]
        return self._arrivals.accept(connection, arrivals)

    def give_way(self) -> None:
        """Wait while posts come in crowds, a moment at most: a post that is not taken is lost, a delivery can wait."""
        deadline = time.monotonic() + GIVE_WAY_SECONDS
        while (left := min(self._arrivals.crowded_until, deadline) - time.monotonic()) > 0:
            time.sleep(left)

    def keep_aside(self, post: Aside, then: Callable[[Exception | None], None]) -> None:
        """Put a post no event could be made of into the quarantine, and tell `then` in the same way."""
        self._writer.promise(keep_aside, post, then, INTAKE_TIMEOUT)

    def claim(self, request: ClaimRequest) -> Claimed:
        """Lease what is due to a target."""
        return cast(Claimed, self._writer.call(self._claim, request))

    def _claim(self, connection: Connection, requests: Sequence[ClaimRequest]) -> list[Claimed]:
        if any(self._shift(request.now) for request in requests):
            return [Claimed(outdated=True)] * len(requests)
        return claim(connection, requests)

    def claim_one(self, delivery: str, token: str, seconds: float) -> Claim | None:
        """Lease one delivery, if it is due."""
        return cast("Claim | None", self._writer.call(claim_one, (delivery, token, seconds, self._clock())))

    def places_of(self, deliveries: Sequence[str]) -> dict[str, Place]:
        """Whom deliveries are owed to, by their ids."""
        columns = ("id", "connector", "target")
        with self.reading() as connection:
            rows = select_in(connection, schema.deliveries, columns, "id", deliveries)
        return {delivery: (connector, target) for delivery, connector, target in rows}

    def conclude(self, endings: Sequence[Ending]) -> list[Concluded]:
        """Write how deliveries ended."""
        jobs = [self._writer.submit(self._outcomes.conclude, ending) for ending in endings]
        return [cast(Concluded, job.result()) for job in jobs]

    def conclude_later(self, ending: Ending, then: Callable[[Concluded | Exception], None], timeout: float) -> None:
        """Write how a delivery ended without waiting for it: `then` is told, or within `timeout` seconds why it is not
        written. It must not wait for the store."""
        self._writer.promise(self._outcomes.conclude, ending, then, timeout)

    def release(self, claims: Sequence[Claim], then: Callable[[Exception | None], None]) -> None:
        """Give claims back untried, without waiting for it; `then` is told of each in the same way."""
        for one in claims:
            self._writer.promise(self._release, one, then, RELEASE_TIMEOUT)

    def _release(self, connection: Connection, claims: Sequence[Claim]) -> list[None]:
        return release(connection, claims, self._clock())

    def release_dead(self) -> int:
        """Take back what processes of this machine had claimed that are dead by now; returns how many deliveries.

        Those of other machines come back when their leases end.
        """
        with self.reading() as connection:
            dead = [lease for lease in leases_held(connection) if is_dead(lease)]
        return cast(int, self._writer.call(self._release_leases, dead)) if dead else 0

    def _release_leases(self, connection: Connection, leases: Sequence[Sequence[str]]) -> list[int]:
        return release_leases(connection, leases, self._clock())

    def settle_targets(self, connector: str, targets: Sequence[str]) -> None:
        """Owe what waits for a connector to the targets it has now."""
        self._writer.call(settle_targets, (connector, targets))

    def expire(self, connector: str, before: float) -> int:
        """End the deliveries of a connector that count their age from before `before`; returns how many."""
        return cast(int, self._writer.call(expire, (connector, before, self._clock())))

    def tell_dead(self) -> frozenset[Place]:
        """Tell of dead deliveries whose hour is over; returns who is owed an event now."""
        return cast("frozenset[Place]", self._writer.call(self._outcomes.tell_dead, self._clock()))

    def emit(self, event_type: str, trouble: Trouble) -> frozenset[Place]:
        """Keep a trouble as an event; returns who is owed it."""
        return cast("frozenset[Place]", self._writer.call(self._outcomes.emit, (event_type, trouble, self._clock())))

    def take_turn(self, place: Place, count: int, period: float) -> float:
        """Take a turn of a target of which `count` may begin in `period` seconds; returns the seconds until there is
        one, 0 where it was taken."""
        request = TurnRequest(place, count, period, self._clock())
        return cast(float, self._writer.call(take_turns, request, TURN_TIMEOUT))

    def follow_server(self) -> float:
        """Where the clock of the server has jumped and this process leads, move what waits by as much; returns by how
        many seconds."""
        clock = self._database.clock
        if clock is None or not clock.is_noticed or not self.leads():
            return 0.0
        jump = clock.jump
        moved = cast(float, self._writer.call(follow_server, clock))
        clock.follow(jump)
        return moved

    def keep_time(self, offset: float) -> float:
        """Move what waits by as much as the wall clock has jumped, where all go by that; returns by how many seconds.
        `offset`: by how many seconds it is ahead of the time since the boot."""
        jump = cast(float, self._writer.call(keep_time, offset))
        self._offset = offset
        return jump

    def _keep_time(self, connection: Connection) -> None:
        """Before anything is written in the time after a jump, what is there moves along: the two could not be told
        apart afterwards."""
        if self._database.clock is not None:
            if self._database.clock.jump:
                self._database.ask_time(connection)
            return
        offset = self._clock() - self._uptime()
        if self._offset is not None and abs(offset - self._offset) >= LEAST_JUMP:
            keep_time(connection, [offset])  # the dispatcher hears of it in its next round

    def note_start(self, connector: str, error: str | None) -> None:
        """Remember how `bridge_start` of a connector went: `error` says why it failed, None that it did not."""
        self._writer.call(change_health, (connector, lambda health: health.started(error)))

    def note_silence(self, source: str) -> None:
        """Remember that somebody has been told of a source's silence."""
        self._writer.call(_note_silence, (source, self._clock()))

    @property
    def trouble(self) -> str | None:
        """Why the store could not be written the last time; None where it could, and is not damaged."""
        return self._writer.trouble

    def beat(self, timeout: float) -> None:
        """Write and sync something, to know that the store can be written."""
        self._writer.call(_beat, self._clock(), timeout)

    def prune(self, before: float, limit: int) -> int:
        """Forget up to `limit` rows of each table from before `before` that nobody waits for; returns how many."""
        with self.reading() as connection:
            old = find_old(connection, before, limit)
        return sum(self._writer.call(delete_old, old).values()) if old else 0

    def oldest_waiting(self, connectors: Iterable[str]) -> dict[str, float]:
        """By connector: from when the oldest delivery that waits counts its age (seconds since the epoch)."""
        with self.reading() as connection:
            return oldest_waiting(connection, connectors)

    @property
    def reads_at_once(self) -> bool:
        """Whether it can be read while it takes nothing: a server that has fallen silent answers no question either."""
        return self._database.dialect.reads_at_once

    def healths(self) -> dict[Place, Health]:
        """How each target does."""
        with self.reading() as connection:
            return load_healths(connection, None)

    def run(self, work: Work, item: Any) -> Any:
        """What `work` answers for the item, after it is committed and synced together with what others ask for."""
        return self._writer.call(work, item)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for the modules of queries, in a transaction that sees one moment of the store."""
        try:
            with self._database.reader.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise store_error(error, self._database.url) from error


def _no_shift(_at: float) -> float:
    return 0.0


def prepare(connection: Connection, sources: Sequence[str], places: Sequence[Place]) -> None:
    """Make the rows of what is configured and has none yet."""
    insert_rows(
        connection, schema.sources, [{"name": name, "contradictions": 0} for name in sorted(sources)], replace=()
    )
    make_places(connection, places)
    insert_rows(connection, schema.heartbeat, [{"name": "bridge", "beat_at": 0.0}], replace=())


def _prepare(connection: Connection, wanted: Sequence[tuple[Sequence[str], Sequence[Place]]]) -> list[None]:
    for sources, places in wanted:
        prepare(connection, sources, places)
    return [None] * len(wanted)


def _beat(connection: Connection, moments: Sequence[float]) -> list[None]:
    bridge = schema.heartbeat.c.name == "bridge"
    connection.execute(update(schema.heartbeat).where(bridge).values(beat_at=max(moments)))
    return [None] * len(moments)


def _note_silence(connection: Connection, notes: Sequence[tuple[str, float]]) -> list[None]:
    for name, at in notes:
        connection.execute(update(schema.sources).where(schema.sources.c.name == name).values(silence_told_at=at))
    return [None] * len(notes)


__all__ = [
    "LEAST_JUMP",
    "Accepted",
    "Aside",
    "Claim",
    "ClaimRequest",
    "Claimed",
    "Concluded",
    "Database",
    "Ending",
    "Leasing",
    "Route",
    "Store",
    "uptime",
]
