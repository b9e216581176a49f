"""The lane of one target of a connector: what this process has claimed for it, and the threads that deliver it.

What has just come in goes before a backlog. A target that fails, hangs or floods fills its own lane and no other.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.contacts import Directories
from bridge.delivery.ledger import Ledger
from bridge.delivery.pace import Pace
from bridge.delivery.recorder import FlightRecorder
from bridge.delivery.verdict import Judge, is_sound
from bridge.errors import DeliveryFailure, PermanentFailure, StoreError, TemporaryFailure
from bridge.health import Health, Place
from bridge.hookspecs import Outcome
from bridge.masking import mask_event
from bridge.model import Contact, Delivery, Event
from bridge.plugins import LoadedConnector
from bridge.store import Claim, Ending, Store

HANG_GRACE = 5.0
"""Seconds a call may run past its timeout before its thread is given up."""
LEASE_MARGIN = 10.0
"""Seconds a lease outlasts the longest call, for recording its outcome."""
MOST_ABANDONED = 16
"""Threads a connector may leave hanging before it gets no more."""
AHEAD_SECONDS = 0.2
"""A lane claims of its backlog what it gets through in so long, so that a fast one need not ask for each single one."""
UNRECORDED = 8
"""Calls for each thread that may be under way or not yet recorded: so many are repeated after a crash at most."""
MOST_AHEAD = 32
"""Calls for each thread that are claimed ahead at most; two in any case."""

ASK_SECONDS = 5.0
"""Seconds the directories are asked for the members of a batch; those not asked for by then come with the next."""

Observe = Callable[[str, str, float], None]
"""Told of each attempt: connector, outcome, seconds."""


OnDone = Callable[["Lane", frozenset[Place], float | None], None]
"""Called after outcomes have been recorded: the lane, which places are owed an event because of it, and when the
earliest of the deliveries that stay pending is due (seconds since the epoch)."""


@dataclass(slots=True, eq=False)
class _Run:
    """A call of the connector that is under way. Whoever takes it (`take`) says how it ended, and nobody else."""

    claims: Sequence[Claim]
    began: float
    taken: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> bool:
        return self.taken.acquire(blocking=False)


class Lane:
    """Delivers to one target of a connector. `deliver` is its hook; `clean` removes secrets from what is kept; one that
    `is_masked` sees no whole number."""

    def __init__(
        self,
        connector: LoadedConnector,
        target: str,
        deliver: Callable[..., object],
        store: Store,
        directories: Directories,
        clean: Callable[[str], str],
        on_done: OnDone,
        observe: Observe,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        is_masked: bool = False,
        recorder: FlightRecorder | None = None,
    ) -> None:
        self.name = connector.name
        self.place = (connector.name, target)
        self.policy = connector.policy
        self.health = Health()
        self.lease_seconds = 2 * (self.policy.timeout + HANG_GRACE) + LEASE_MARGIN
        self.completions = 0
        self.is_held = False
        """Whether it takes nothing but what is tried alone (see `Trials`)."""
        self._kind = connector.kind
        self._most_runs = UNRECORDED * self.policy.concurrency
        # What takes one call at a time gets no other while one hangs.
        self._most_abandoned = MOST_ABANDONED if self._kind is None or self._kind.threadsafe else 1
        self._deliver = deliver
        self._shown: Callable[[Event], Event] = mask_event if is_masked else lambda event: event
        self._store = store
        self._directories = directories
        self._judge = Judge(self.policy, clean)
        self._on_done = on_done
        self._ledger = Ledger(connector.name, store, self.learn, LEASE_MARGIN / 2, monotonic)
        self._observe = observe
        self._clock = clock
        self._monotonic = monotonic
        self._pace = Pace(self.policy.rate)
        self._fresh: deque[tuple[Claim, float]] = deque()
        self._backlog: deque[tuple[Claim, float]] = deque()
        self._changed = threading.Condition()
        self._runs: set[_Run] = set()
        self._call_seconds = AHEAD_SECONDS
        self._idle = 0
        self._threads = 0
        self._abandoned = 0
        self._stopping = False
        self._recorder = recorder or FlightRecorder()
        self._log = logging.getLogger(f"callbridge.connectors.{connector.name}")

    # --- what the dispatcher asks -------------------------------------------------------------------------------

    def fresh_room(self) -> int:
        """How many deliveries may be leased to this lane as they come in."""
        with self._changed:
            if self._is_closed or self.health.admits(self._clock()) != "all":
                return 0
            return max(0, min(8 * self.policy.concurrency * self.policy.max_batch - len(self._fresh), self._allowed()))

    def backlog_room(self) -> int:
        """How many deliveries that wait may be claimed for this lane now: none while it has enough to go on with."""
        with self._changed:
            held = len(self._backlog) + len(self._fresh)
            admission = "none" if self._is_closed else self.health.admits(self._clock())
            if admission == "all":
                ahead = self._calls_ahead() * self.policy.concurrency * self.policy.max_batch
                return min(ahead - held, self._allowed()) if held <= ahead // 2 else 0
            return 1 if admission == "one" and not held and not self._runs else 0

    def next_turn(self) -> float | None:
        """Seconds until a rate limit or a cool-down lets something through; None where neither is waited for."""
        now = self._clock()
        if self.health.admits(now) == "none":
            at = self.health.admits_at()
            return None if at is None else at - now
        with self._changed:
            return self._pace.wait(self._monotonic()) or None

    def push(self, claims: Sequence[Claim], *, fresh: bool) -> None:
        """Take claims that were leased just now for `lease_seconds`."""
        until = self._monotonic() + self.lease_seconds
        with self._changed:
            if not self._stopping and not self.is_hung:
                queue = self._fresh if fresh else self._backlog
                queue.extend((claim, until) for claim in claims)
                self._start_threads()
                self._changed.notify(len(claims))
                return
        self._release(claims)

    def give_up_hung(self) -> None:
        """Record calls that run far past their timeout as failed, and replace their threads.

        Failure policy: a thread cannot be killed. It is left behind; if it ever returns, it finds its run taken and
        ends. Where no other may take its place, what is queued is given back.
        """
        limit = self.policy.timeout + HANG_GRACE
        for run in [run for run in tuple(self._runs) if self._monotonic() - run.began > limit]:
            if run.take():
                with self._changed:
                    self._runs.discard(run)
                    self._threads -= 1
                    self._abandoned += 1
                    self._start_threads()
                    stranded = self._take_queued() if self.is_hung else []
                self._release(stranded)
                self._log.error("a call did not return within %.0f s: its thread is given up", limit)
                failure = TemporaryFailure(f"the connector did not return within {limit:.0f} s")
                self._conclude(run, [failure] * len(run.claims), [None] * len(run.claims))

    @property
    def is_hung(self) -> bool:
        """Whether so many calls hang that the connector gets no more threads."""
        return self._abandoned >= self._most_abandoned and self._threads == 0

    def bury(self, claim: Claim, reason: str) -> None:
        """End a delivery as dead without trying it; that says nothing of the target."""
        ending = self._judge.judge(claim, PermanentFailure(reason), started_at=self._clock(), seconds=0.0)
        self._record([replace(ending, health=None)])

    def stop(self) -> None:
        """Take no more; what is queued is given back, what is under way goes on (see `wait_idle`)."""
        self._ledger.stop()
        with self._changed:
            self._stopping = True
            queued = self._take_queued()
            self._changed.notify_all()
        self._release(queued)

    def wait_idle(self, deadline: float) -> None:
        """Wait until nothing is under way, or until `deadline` (monotonic), and then give the rest back."""
        with self._changed:
            while self._runs and (left := deadline - self._monotonic()) > 0:
                self._changed.wait(left)
            late = [run for run in self._runs if run.take()]
        self._release([claim for run in late for claim in run.claims])

    def learn(self, health: Health) -> None:
        """Take in how the connector does; what is older than what is known is old news."""
        with self._changed:
            if health.version >= self.health.version:
                self.health = health

    # --- the threads --------------------------------------------------------------------------------------------

    @property
    def _is_closed(self) -> bool:
        return self._stopping or self.is_held or self.is_hung

    def _calls_ahead(self) -> int:
        """How many calls each thread has claimed ahead, by how long they take lately."""
        return max(2, min(MOST_AHEAD, int(AHEAD_SECONDS / max(self._call_seconds, 1e-9))))

    def _allowed(self) -> int:
        calls = self._pace.room(self._monotonic())
        return 1_000_000 if calls is None else calls * self.policy.max_batch

    def _take_queued(self) -> list[Claim]:
        queued = [claim for claim, _ in (*self._fresh, *self._backlog)]
        self._fresh.clear()
        self._backlog.clear()
        return queued

    def _start_threads(self) -> None:
        """Start as many threads as the queues need and the limits allow."""
        needed = len(self._fresh) + len(self._backlog) - self._idle
        allowed = min(self.policy.concurrency - self._threads, self._most_abandoned - self._abandoned)
        for _ in range(min(needed, allowed)):
            try:
                # It cannot begin before this thread lets go of `_changed`.
                threading.Thread(target=self._work, name=f"deliver-{self.name}", daemon=True).start()
            except RuntimeError as error:
                self._log.error("no thread can be started: %s", error)
                return
            self._threads += 1

    def _work(self) -> None:
        while (run := self._begin()) is not None:
            self._store.give_way()
            if self._has_turn(run) and not self._run(run):
                return  # given up in the meantime: another thread has taken this one's place

    def _begin(self) -> _Run | None:
        """The next deliveries to try, as a run; None when the lane stops."""
        while True:
            with self._changed:
                while not (self._fresh or self._backlog) or len(self._runs) >= self._most_runs:
                    if self._stopping:
                        self._threads -= 1
                        return None
                    self._idle += 1
                    self._changed.wait()
                    self._idle -= 1
                claims, expired, refused = self._choose()
                run = _Run(claims, self._monotonic())
                if claims:
                    self._runs.add(run)
            self._end_untried(expired, refused)
            if claims:
                return run

    def _choose(self) -> tuple[list[Claim], list[Claim], list[Claim]]:
        """From the queues: what to try now, what is too old, and what must wait: for a pause, the breaker, the rate or
        a lease that outlasts the call."""
        claims: list[Claim] = []
        expired: list[Claim] = []
        refused: list[Claim] = []
        now, mono = self._clock(), self._monotonic()
        admission = self.health.admits(now)
        permitted = False
        while (self._fresh or self._backlog) and len(claims) < self.policy.max_batch:
            claim, until = (self._fresh or self._backlog).popleft()
            if self._judge.is_too_old(claim, now):
                expired.append(claim)
                continue
            probing = admission == "one" and not self._runs and not claims
            if (admission != "all" and not probing) or until - mono < self.policy.timeout + HANG_GRACE + LEASE_MARGIN:
                refused.append(claim)
                continue
            permitted = permitted or self._pace.take(mono)
            (claims if permitted else refused).append(claim)
        return claims, expired, refused

    def _has_turn(self, run: _Run) -> bool:
        """Whether the run may begin, as far as the rate that all processes share goes; else it is given back."""
        if self._pace.limit is None:
            return True
        try:
            wait = self._store.take_turn(self.place, *self._pace.limit)
        except StoreError:
            wait = 1.0  # Failure policy: what cannot be counted is not tried; its outcome could not be recorded either.
        with self._changed:
            run.began = self._monotonic()  # how long the store took is no fault of the connector
            if wait <= 0:
                return True
            self._pace.hold(run.began + wait)
            self._runs.discard(run)
            self._changed.notify_all()
        if run.take():
            self._end_untried((), run.claims)
        return False

    def _end_untried(self, expired: Sequence[Claim], refused: Sequence[Claim]) -> None:
        # What is given back is due again: the dispatcher hears of it when it is written.
        self._release(refused, lambda: self._on_done(self, frozenset(), self._clock()))
        if expired:
            self._record([self._judge.expired(claim, self._clock()) for claim in expired])

    def _run(self, run: _Run) -> bool:
        """Call the connector, record what came of it; False where the run has been given up meanwhile."""
        outcomes: Sequence[Outcome]
        kept: Sequence[str | None]
        try:
            contacts = self._contacts(run)
            outcomes, kept = self._call(run.claims, [contact for contact, _ in contacts]), [one for _, one in contacts]
        except Exception as error:  # noqa: BLE001  # whatever goes wrong here must not cost the connector its thread
            self._log.exception("a try failed")
            failure = TemporaryFailure(f"the bridge failed: {type(error).__name__}")
            outcomes, kept = [failure] * len(run.claims), [None] * len(run.claims)
        if not run.take():
            with self._changed:
                self._abandoned -= 1
                self._start_threads()
            return False
        self._conclude(run, outcomes, kept)
        return True

    def _contacts(self, run: _Run) -> list[tuple[Contact | None, str | None]]:
        """Who is calling, for as many of the run as there is time to ask for; it goes on without the others."""
        contacts: list[tuple[Contact | None, str | None]] = []
        for claim in run.claims:
            if contacts and self._monotonic() - run.began > ASK_SECONDS:
                break
            contacts.append(self._contact(claim))
        unasked, run.claims = run.claims[len(contacts) :], run.claims[: len(contacts)]
        self._end_untried((), unasked)
        run.began = self._monotonic()  # how long the directories took is no fault of the connector
        return contacts

    def _contact(self, claim: Claim) -> tuple[Contact | None, str | None]:
        """Who is calling, and the same as it is kept with the delivery, so that a retry says the same."""
        if claim.contact is not None:
            return (None if claim.contact == "null" else Contact.model_validate_json(claim.contact)), claim.contact
        call = claim.event.call
        if call is None or not self._directories or not (self._kind and self._kind.wants_contact):
            return None, None
        contact = self._directories.who_is(call)
        return contact, contact.model_dump_json() if contact else "null"

    def _call(self, claims: Sequence[Claim], contacts: Sequence[Contact | None]) -> Sequence[Outcome]:
        batch = [
            Delivery(
                id=claim.id,
                connector=claim.connector,
                target=claim.target,
                attempt=claim.attempts + 1,
                event=self._shown(_with_contact(claim.event, contact)),
            )
            for claim, contact in zip(claims, contacts, strict=True)
        ]
        try:
            with self._recorder.flight([claim.id for claim in claims]):
                answer = self._deliver(delivery=batch[0], batch=batch)
        except DeliveryFailure as failure:
            answer = [failure] * len(batch) if self.policy.max_batch > 1 else failure
        except BaseException as error:  # noqa: BLE001  # a plugin may raise anything, SystemExit too
            self._log.error("the connector raised %s", type(error).__name__, exc_info=error)
            what = "".join(traceback.format_exception_only(error)).strip()
            return [TemporaryFailure(f"the plugin failed: {what}")] * len(batch)
        return self._checked(answer, len(batch))

    def _checked(self, answer: object, size: int) -> Sequence[Outcome]:
        """The outcomes in what a plugin answered. Nonsense is a temporary failure: nobody knows what happened."""
        many = self.policy.max_batch > 1 and isinstance(answer, list | tuple)
        answers: list[Any] = list(answer) if many else [answer] * size  # type: ignore[call-overload]  # checked above
        if len(answers) == size and all(map(is_sound, answers)):
            return answers
        return [TemporaryFailure(f"the plugin answered with nonsense ({type(answer).__name__})")] * size

    def _conclude(self, run: _Run, outcomes: Sequence[Outcome], contacts: Sequence[str | None]) -> None:
        seconds = self._monotonic() - run.began
        started_at = self._clock() - seconds  # by the clock as it is now: it may have been set meanwhile
        self._call_seconds += (seconds - self._call_seconds) / 8
        endings = [
            self._judge.judge(claim, outcome, started_at=started_at, seconds=seconds, contact=contact)
            for claim, outcome, contact in zip(run.claims, outcomes, contacts, strict=True)
        ]
        for ending in endings:
            self._observe(self.name, ending.attempt.outcome if ending.attempt else ending.state, seconds)
        if len(endings) == 1 and endings[0].state == "delivered":
            # Recorded while the next is delivered: many of them share a commit then.
            self._ledger.write_later(endings[0], lambda told: self._end_run(run, told, None))
        else:
            self._record(endings, run)  # what a failure means has to be known before the next is tried

    def _record(self, endings: Sequence[Ending], run: _Run | None = None) -> None:
        told = self._ledger.write(endings)
        retries = [ending.due_at for ending in endings if ending.state == "pending"]
        self._end_run(run, told, min(retries, default=None))

    def _end_run(self, run: _Run | None, told: frozenset[Place], retry_at: float | None) -> None:
        with self._changed:
            self.completions += 1
            if run is not None:
                self._runs.discard(run)
            self._changed.notify_all()
        self._on_done(self, told, retry_at)

    def _release(self, claims: Sequence[Claim], then: Callable[[], None] = lambda: None) -> None:
        def tell(said: Exception | None) -> None:
            if said is not None:
                self._log.warning("a claim could not be given back, its lease ends by itself: %s", said)
            then()

        self._store.release(claims, tell)


def _with_contact(event: Event, contact: Contact | None) -> Event:
    return event if contact is None else event.with_contact(contact)
