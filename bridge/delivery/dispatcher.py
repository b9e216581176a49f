"""The dispatcher feeds every lane with what is due, when it is due, and sees to what time brings about.

It sleeps until something happens: a delivery that could not be leased as it was stored, an outcome, a change by another
process, or the next moment something is due; and once a second, for what only time brings about.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bridge.delivery.lane import Lane
from bridge.delivery.recorder import FlightRecorder
from bridge.delivery.trials import Trials
from bridge.errors import StoreError
from bridge.health import Place
from bridge.store import LEAST_JUMP, Claim, ClaimRequest, Leasing, Store

TICK = 1.0
"""Seconds between two looks at what only time brings about: age, hanging calls, silence."""
LOOK_AGAIN = 15.0
"""Seconds after which a backlog is looked at in any case: a claim can be lost together with its outcome. And seconds
between two looks for what dead processes had claimed."""
PATIENCE = 30.0
"""Seconds without a round after which the dispatcher counts as stuck."""

_log = logging.getLogger("callbridge.delivery")


@dataclass(slots=True)
class _Waiting:
    """What the dispatcher knows of a lane's backlog: when something is due (None: nothing waits), as wall-clock time.
    `blocked`: something is due and waits for an earlier event of its call, so a completion may free it."""

    due_at: float | None = 0.0
    blocked: bool = False

    def no_later_than(self, at: float) -> None:
        if self.due_at is None or at < self.due_at:
            self.due_at = at


def leasing(token: str, lanes: Mapping[Place, Lane]) -> Leasing:
    """How the store may lease deliveries to this process as it stores them: into lanes that have room."""
    return Leasing(
        token=token,
        room=lambda place: lanes[place].fresh_room() if place in lanes else 0,
        seconds=lambda place: lanes[place].lease_seconds,
    )


class Dispatcher:
    """Feeds the lanes under the lease token of this process. `ages` has the `max_age` (seconds) of every connector
    whose deliveries can expire, also of failed ones; `tasks` are run once a tick by the one process of all on the store
    that leads. `uptime`: seconds since the boot, those the machine slept through too; None: as `monotonic`."""

    def __init__(
        self,
        store: Store,
        token: str,
        lanes: Mapping[Place, Lane],
        ages: Mapping[str, float],
        tasks: Sequence[Callable[[], Iterable[Place]]] = (),
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        recorder: FlightRecorder | None = None,
        uptime: Callable[[], float] | None = None,
    ) -> None:
        self._store = store
        self._token = token
        self._ages = ages
        self._tasks = tasks
        self._clock = clock
        self._monotonic = monotonic
        self._uptime = uptime or monotonic
        self._offset: float | None = None
        self._lanes = lanes
        self._trials = Trials(store, token, lanes, recorder or FlightRecorder(), clock)
        self._waiting: dict[Place, _Waiting] = {}
        self._wake = threading.Event()
        self._look_anew = True
        self._stopping = False
        self._round_at = monotonic()
        self._next_tick = self._round_at
        self._next_burial = self._round_at + LOOK_AGAIN  # the store's own start is the first
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Start feeding the lanes there are by now."""
        # Before the first post: nothing may be leased to a connector that is paused or held.
        self._keep_time()
        self._learn()
        self._trials.begin()
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Claim no more, let calls under way end within `seconds`, and give everything else back."""
        deadline = self._monotonic() + seconds
        self._stopping = True
        self._wake.set()
        for lane in self._lanes.values():
            lane.stop()
        for lane in self._lanes.values():
            lane.wait_idle(deadline)
        if self._thread.ident is not None:
            self._thread.join(max(0.0, deadline - self._monotonic()))

    def take(self, claims: Sequence[Claim]) -> None:
        """Deliver what was leased to this process as it was stored."""
        for claim in claims:
            self._lanes[claim.place].push([claim], fresh=True)

    def nudge(self, places: Iterable[Place]) -> None:
        """Something is due there."""
        for place in places:
            if place in self._lanes:
                self._of(place).due_at = 0.0
                self._wake.set()

    def nudge_connector(self, name: str) -> None:
        """Something is due for a connector."""
        self.nudge(place for place in self._lanes if place[0] == name)

    def notice_foreign_write(self) -> None:
        """Another process has written: anything may be due, and connectors may be paused or resumed."""
        self._look_anew = True
        self._wake.set()

    def done(self, lane: Lane, told: frozenset[Place], retry_at: float | None) -> None:
        """A lane has recorded outcomes; the earliest retry among them is due at `retry_at`."""
        waiting = self._of(lane.place)
        if self._trials.ended(lane.place):
            self._wake.set()
        if retry_at is not None:
            waiting.no_later_than(retry_at)
        if waiting.blocked:
            waiting.due_at = 0.0
        something_due = waiting.due_at is not None and waiting.due_at <= self._clock()
        if retry_at is not None or (something_due and lane.backlog_room() > 0):
            self._wake.set()
        self.nudge(told)

    def trouble(self) -> str | None:
        """Why nothing is dispatched, for `/readyz`; None where all is well."""
        if not self._thread.is_alive():
            return "the dispatcher does not run"
        if self._monotonic() - self._round_at > PATIENCE:
            return "the dispatcher is stuck"
        return None

    def lanes(self) -> Iterable[Lane]:
        """The lanes, one for each target of each connector."""
        return self._lanes.values()

    def _of(self, place: Place) -> _Waiting:
        return self._waiting.setdefault(place, _Waiting())

    def _run(self) -> None:
        was_down = False
        pause = 0.0
        while not self._stopping:
            self._wake.wait(pause)
            self._wake.clear()
            self._round_at = self._monotonic()
            try:
                pause = self.run_once()
                if was_down:
                    _log.warning("the store works again")
                was_down = False
            except StoreError as error:
                # Failure policy: what is due stays due. Say it once, and look again in a moment.
                if not was_down and not self._stopping:
                    _log.error("nothing can be dispatched: %s", error)
                was_down, pause, self._look_anew = True, TICK, True
            except Exception:  # noqa: BLE001  # a fault here must not end dispatching for good
                _log.exception("a round of dispatching failed")
                pause, self._look_anew = TICK, True

    def run_once(self) -> float:
        """Feed every lane that has something due; returns how many seconds nothing is to be done."""
        self._keep_time()
        if self._look_anew:
            self._look_anew = False
            self._learn()
        self.nudge(self._trials.proceed())
        sleep = min((self._feed(lane) for lane in self._lanes.values()), default=60.0)
        return min(sleep, self._tick())

    def _keep_time(self) -> None:
        jump = self._store.follow_server()
        offset = self._clock() - self._uptime()
        known = offset if self._offset is None else self._offset
        if self._offset is None or abs(offset - known) >= LEAST_JUMP:
            jump = self._store.keep_time(offset) or offset - known
            # Whoever has moved what waits: what is remembered here of when it is due is of the old time.
            self._offset, self._look_anew = offset, True
        if jump:
            _log.warning("the clock has jumped by %.0f s: what waits has moved along", jump)

    def _learn(self) -> None:
        healths = self._store.healths()
        for place, lane in self._lanes.items():
            lane.learn(healths.get(place, lane.health))
            self._of(place).due_at = 0.0

    def _feed(self, lane: Lane) -> float:
        """Claim what is due for a lane, as far as it has room; returns how long it can do without."""
        waiting = self._of(lane.place)
        now = self._clock()
        if waiting.due_at is None:
            return 60.0
        if waiting.due_at > now:
            return waiting.due_at - now
        health = lane.health  # before the room that it allows: the store refuses a claim made on old news
        turn = lane.next_turn()
        room = lane.backlog_room()
        if room == 0:
            # A completion nudges; a cool-down, a probe or a rate limit ends by itself.
            return min(max(turn, 0.005), 60.0) if turn is not None else 60.0
        waiting.due_at, waiting.blocked = None, False
        completions = lane.completions
        probe = health.admits(now) == "one"
        claimed = self._store.claim(
            ClaimRequest(lane.place, room, self._token, lane.lease_seconds, now, probe, health.version)
        )
        if claimed.outdated:
            self._look_anew, waiting.due_at = True, now
            return 0.0
        for new in (True, False):
            lane.push([claim for claim in claimed.claims if claim.is_new(now) is new], fresh=new)
        waiting.blocked = claimed.blocked
        waiting.no_later_than(now + LOOK_AGAIN)
        if claimed.next_due is not None:
            waiting.no_later_than(claimed.next_due)
        if claimed.blocked:
            # A completion frees it, or the end of an `order_hold`, which nothing tells of.
            waiting.no_later_than(now if lane.completions != completions else now + TICK)
        if len(claimed.claims) == room:
            waiting.no_later_than(now)
        return max(0.0, waiting.due_at - now) if waiting.due_at is not None else 60.0

    def _tick(self) -> float:
        now = self._monotonic()
        if now < self._next_tick:
            return self._next_tick - now
        self._next_tick = now + TICK
        for lane in self._lanes.values():
            lane.give_up_hung()
        if now >= self._next_burial:
            self._next_burial = now + LOOK_AGAIN
            self._look_anew |= self._store.release_dead() > 0
        if self._store.leads():
            self._expire()
            self._tell_dead()
            for task in self._tasks:
                self.nudge(task())
        return TICK

    def _expire(self) -> None:
        now = self._clock()
        oldest = self._store.oldest_waiting(self._ages)
        for name, fresh_from in oldest.items():
            if fresh_from < now - self._ages[name]:
                self._store.expire(name, now - self._ages[name])
                self.nudge_connector(name)

    def _tell_dead(self) -> None:
        now = self._clock()
        if any(health.dead_to_tell(now) for health in self._store.healths().values()):
            self.nudge(self._store.tell_dead())
            self._look_anew = True
