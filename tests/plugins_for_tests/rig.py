"""A bridge without a server, driven by hand: a clock that stands still, a store on disk, lanes and their dispatcher.

Nothing happens unless a test says so: `Rig.settle` dispatches until nothing is due and nothing is under way.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import RowMapping, Table, select, text

from bridge.contacts import Directories
from bridge.delivery.dispatcher import Dispatcher, leasing
from bridge.delivery.lane import Lane
from bridge.delivery.recorder import FlightRecorder
from bridge.health import Health, Place
from bridge.hookspecs import ConnectorKind
from bridge.interpret import Arrival, Interpreter, SourceView
from bridge.model import Delivery, Event, Facts, Reading, ReadingKind
from bridge.plugins import LoadedConnector
from bridge.routing import Router
from bridge.settings import ConnectorSettings
from bridge.silence import SilenceWatch
from bridge.store import Accepted, Claim, Database, Store, schema
from bridge.store.leases import new_token
from bridge.store.outcomes import change_health
from bridge.store.replay import replay_dead, replay_ids
from bridge.store.serverclock import Ask, ServerClock
from bridge.testing import eventually
from bridge.testing.stores import put_empty_store

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC).timestamp()
SOURCE = SourceView("pbx", "TR", ZoneInfo("Europe/Istanbul"), lambda _cause, _locale: None)


def _store_in(folder: Path) -> str:
    """The URL of the store that `store.url` in the folder names, else of an SQLite file there."""
    if (place := folder / "store.url").exists():
        return place.read_text("utf-8")
    path = folder / "rig.db"
    put_empty_store(path)
    return f"sqlite:///{path}"


_digests = itertools.count()
"""No two posts are the same form."""


class Clock:
    """Stands still until it is told otherwise: the wall clock and the monotonic one in step."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.set_by = 0.0
        """By how many seconds somebody has set the wall clock."""

    def wall(self) -> float:
        return START + self.passed + self.set_by

    def monotonic(self) -> float:
        return self.passed


class ToldClock(ServerClock):
    """That of a machine whose server says what `server` has."""

    def __init__(self, server: Clock, machine: Clock) -> None:
        super().__init__(machine.wall, machine.monotonic)
        self._server = server

    def ask(self, ask: Ask) -> None:
        super().ask(lambda columns: (self._server.wall(), ask(columns)[1]))


class Chat:
    """A connector that answers as it is told: one answer after the other, the last for ever; an exception is raised.

    `got` are the deliveries it was called for, `calls` the batches; `most_at_once` counts calls at the same time.
    """

    def __init__(self, *answers: object) -> None:
        self.answers = deque(answers or (None,))
        self.got: list[Delivery] = []
        self.calls: list[Sequence[Delivery]] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()

    def __call__(self, delivery: Delivery, batch: Sequence[Delivery]) -> object:
        with self._lock:
            self.calls.append(batch)
            self.got.extend(batch)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        try:
            answer = answer(batch) if callable(answer) and not isinstance(answer, type) else answer
            if isinstance(answer, BaseException):
                raise answer
            return answer
        finally:
            with self._lock:
                self._at_once -= 1

    def answer(self, *answers: object) -> None:
        """From now on answer so."""
        self.answers = deque(answers)

    @property
    def types(self) -> list[str]:
        """The types of the events it got."""
        return [delivery.event.type for delivery in self.got]

    @property
    def call_ids(self) -> list[str]:
        """The calls it got events of."""
        return [delivery.event.call.id for delivery in self.got if delivery.event.call]


class Gate:
    """An answer that does not come before the gate is opened."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self._open = threading.Event()

    def __call__(self, batch: Sequence[Delivery]) -> None:
        self.entered.release()
        assert self._open.wait(30), "nobody opened the gate"

    def wait_entered(self) -> None:
        """Wait until (one more) call has arrived."""
        assert self.entered.acquire(timeout=20), "nobody came to the gate"

    def open(self) -> None:
        """Let everybody through."""
        self._open.set()


def connector(
    name: str = "chat", *, on: Sequence[str] = ("call.*",), kind: Mapping[str, Any] | None = None, **settings: Any
) -> LoadedConnector:
    """A configured connector; `kind` changes what its kind says of itself, `settings` are as in the config."""
    made = ConnectorKind(name="chat", create=lambda _options, _context: object(), **(kind or {}))
    table = {"breaker": {"failures": 0}, "retry": {"schedule": [5, 30, 120], "jitter": 0}, **settings}
    targets = tuple(made.targets(None))
    return LoadedConnector(name, ConnectorSettings(kind="chat", on=on, **table), made, object(), targets)


class Rig:
    """The core between the intake and the connectors, under a clock that stands still.

    Two in one folder are two processes on one store; `clock` lets them live at the same time. With `server` all go by
    that clock, the one of the database server, and `clock` is the machine's.
    """

    def __init__(
        self,
        folder: Path,
        *chats: tuple[LoadedConnector, Callable[..., object]],
        lookups: Iterable[tuple[str, Callable[..., Any], float]] = (),
        silence: Mapping[str, float] | None = None,
        clean: Callable[[str], str] = lambda text: text,
        clock: Clock | None = None,
        server: Clock | None = None,
        recorder: FlightRecorder | None = None,
    ) -> None:
        self.clock = clock or Clock()
        database = self._database = Database(_store_in(folder))
        wall: Callable[[], float] = self.clock.wall
        if server is not None:
            wall = database.clock = ToldClock(server, self.clock)
        self._wall = wall
        lanes: dict[Place, Lane] = {}
        token = self.token = new_token()
        self.store = Store(
            database,
            Interpreter("en", 10.0),
            Router([one for one, _ in chats], {"pbx": "TR"}).owed,
            leasing=leasing(token, lanes),
            clock=wall,
            uptime=self.clock.monotonic,
        )
        watch = SilenceWatch(self.store, silence or {}, wall)
        ages = {one.name: one.policy.max_age for one, _ in chats}
        self.dispatcher = Dispatcher(self.store, token, lanes, ages, [watch.look], wall, self.clock.monotonic, recorder)
        directories = Directories(list(lookups))
        for one, deliver in chats:
            for place in one.places:
                lanes[place] = Lane(
                    one,
                    place[1],
                    deliver,
                    self.store,
                    directories,
                    clean,
                    self.dispatcher.done,
                    lambda *_: None,
                    wall,
                    self.clock.monotonic,
                    recorder=recorder,
                )
        self._lanes = lanes
        self.store.leads = lambda: True  # type: ignore[method-assign]  # which process does may take a moment to settle
        self.store.start(("pbx",), tuple(lanes), lambda *_: self.dispatcher.notice_foreign_write())

    # --- what happens -------------------------------------------------------------------------------------------

    def post(self, kind: ReadingKind, call_id: str = "1", **facts: Any) -> Accepted:
        """A post of the PBX, kept and handed over as the intake does it."""
        accepted = self.keep(kind, call_id, **facts)
        self.dispatcher.take(accepted.dues.claims)
        self.dispatcher.nudge(accepted.dues.waiting)
        return accepted

    def keep(self, kind: ReadingKind, call_id: str = "1", **facts: Any) -> Accepted:
        """A post of the PBX, kept and not yet handed over."""
        reading = Reading(
            kind=kind,
            call_id=call_id,
            tenant="101",
            facts=Facts(**{"direction": "inbound", "caller": "02123205062", "called": "1001", **facts}),
            raw={"call_uuid": call_id},
            connected={"answered": True, "hangup": False}.get(kind),
        )
        at = datetime.fromtimestamp(self._wall(), UTC)
        answers: SimpleQueue[Accepted | Exception] = SimpleQueue()
        self.store.accept(Arrival(SOURCE, reading, str(next(_digests)), at), answers.put)
        answer = answers.get(timeout=20)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def give_back(self, claims: Sequence[Claim]) -> None:
        """Give claims back untried, and wait until that is written."""
        told: SimpleQueue[Exception | None] = SimpleQueue()
        self.store.release(claims, told.put)
        assert [told.get(timeout=20) for _ in claims] == [None] * len(claims)

    def miss(self, *call_ids: str) -> None:
        """Missed calls."""
        for call_id in call_ids or ("1",):
            self.post("hangup", call_id)

    def settle(self) -> None:
        """Dispatch until nothing is due and nothing is under way."""
        before, now = None, self._progress()
        while before != now:
            self.dispatcher.notice_foreign_write()
            self.dispatcher.run_once()
            eventually(lambda: not self._leased(), "the end of what is under way")
            for lane in self._lanes.values():
                lane.wait_idle(self.clock.monotonic() + 20)
            before, now = now, self._progress()

    def advance(self, seconds: float) -> None:
        """Time passes; what has become due happens."""
        self.clock.passed += seconds
        self.settle()

    def change_health(self, name: str, change: Callable[[Health], Health]) -> None:
        """Pause or resume, as the command does it beside the bridge."""
        with self._database.writer.begin() as connection:
            change_health(connection, [(name, change)])
        self.dispatcher.notice_foreign_write()

    def replay(self, *ids: str) -> None:
        """Replay these, or all that are dead, as the command does it beside the bridge."""
        with self._database.writer.begin() as connection:
            now = self.clock.wall()
            _ = replay_ids(connection, ids, now) if ids else replay_dead(connection, None, now)
        self.dispatcher.notice_foreign_write()

    def ask_time(self) -> None:
        """Ask the server what time it is, as the listener does it once a second."""
        with self.store.reading() as connection:
            self._database.ask_time(connection)

    # --- what is kept -------------------------------------------------------------------------------------------

    def rows(self, name: str = "chat") -> list[RowMapping]:
        """The deliveries of a connector, in the order they were owed."""
        table = schema.deliveries
        return self.select(select(table).where(table.c.connector == name).order_by(self._order(table)))

    def rows_at_rest(self, name: str = "chat") -> list[RowMapping]:
        """The same, once nothing is leased any more."""
        return eventually(lambda: [] if any(row["lease"] for row in self.rows(name)) else self.rows(name))

    def states(self, name: str = "chat") -> list[str]:
        """The states of a connector's deliveries."""
        return [row["state"] for row in self.rows(name)]

    def attempts(self, name: str = "chat") -> list[RowMapping]:
        """The attempts of a connector's deliveries, in the order they were made."""
        table, deliveries = schema.attempts, schema.deliveries
        query = select(table).join(deliveries, deliveries.c.id == table.c.delivery_id)
        return self.select(query.where(deliveries.c.connector == name).order_by(table.c.started_at, table.c.number))

    def lane(self, name: str = "chat", target: str = "") -> Lane:
        """The lane of a target."""
        return self._lanes[name, target]

    def health(self, name: str = "chat", target: str = "") -> Health:
        """How a target does, as the store knows it."""
        return self.store.healths()[name, target]

    def events(self, event_type: str) -> list[Event]:
        """The kept events of a type."""
        table = schema.events
        query = select(table.c.payload).where(table.c.type == event_type).order_by(self._order(table))
        return [Event.from_json(row["payload"]) for row in self.select(query)]

    def close(self) -> None:
        """Stop the lanes and close the store."""
        self.dispatcher.stop(0.0)
        if self.dispatcher._thread.is_alive():
            self.dispatcher._thread.join(10)  # what it reads with is closed next
        self.store.stop()

    def _order(self, table: Table) -> Any:
        """As the rows were inserted. Where no row says that, ids do if they are made so."""
        return text("rowid") if self._database.url.get_backend_name() == "sqlite" else table.c.id

    @contextmanager
    def outage(self) -> Iterator[None]:
        """The store cannot be written: another program keeps it locked."""
        other = Database(self._database.url.render_as_string(hide_password=False))
        with other.writer.begin() as connection:
            if other.url.get_backend_name() == "postgresql":
                connection.execute(text("LOCK TABLE deliveries, connectors, events IN EXCLUSIVE MODE"))
            yield
        other.close()

    def _leased(self) -> bool:
        table = schema.deliveries
        return bool(self.select(select(table.c.id).where(table.c.state == "pending", table.c.lease.is_not(None))))

    def _progress(self) -> object:
        table = schema.deliveries
        return self.select(select(table.c.id, table.c.state, table.c.attempts).order_by(table.c.id))

    def select(self, query: Any) -> list[RowMapping]:
        """The rows of a query."""
        with self.store.reading() as connection:
            return list(connection.execute(query).mappings())


@contextmanager
def rig(folder: Path, *chats: tuple[LoadedConnector, Callable[..., object]], **options: Any) -> Iterator[Rig]:
    """A rig that is closed at the end."""
    one = Rig(folder, *chats, **options)
    try:
        yield one
    finally:
        one.close()
