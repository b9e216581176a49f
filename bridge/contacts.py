"""Who is calling: asking the configured directories, briefly, and remembering for a while what they said."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Self

from bridge.model import Call, Contact, Number
from bridge.plugins import Plugins

FOUND_FOR = 600.0
"""Seconds contacts that were found are remembered."""
UNKNOWN_FOR = 60.0
"""Seconds it is remembered that nobody knew a number."""
SECOND_BEST_FOR = 30.0
"""Seconds contacts are remembered that were found while a preferred directory did not answer."""
REMEMBERED = 10_000
"""Numbers remembered at most."""
AT_ONCE = 16
"""Lookups a directory may have under way: one that hangs is asked no more until it lets go of some."""
DOWN_AFTER = 3
"""Lookups one after the other that fail or are late, after which a directory counts as down."""
ASIDE_FOR = 30.0
"""Seconds for which nobody waits for a directory that is down; then one lookup tries whether it is back."""

_log = logging.getLogger("callbridge.contacts")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one directory said of a number, and after how many seconds.

    `error` says why it gave no answer, for people; without it, no contacts mean that it does not know the number.
    """

    directory: str
    contacts: tuple[Contact, ...]
    seconds: float
    error: str | None = None


class Directory:
    """One directory, with threads of its own: one that hangs must not use up those of another.

    It looks a number up once at a time: who asks for it meanwhile gets the same answer.
    """

    def __init__(
        self,
        name: str,
        lookup: Callable[..., object],
        budget: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._lookup = lookup
        self._budget = budget
        self._clock = clock
        self._pool = ThreadPoolExecutor(AT_ONCE, f"directory-{name}")  # no thread before the first use
        self._lock = threading.Lock()
        self._free = threading.Semaphore(AT_ONCE)
        self._under_way: dict[str | None, tuple[Future[tuple[object, float]], float]] = {}  # and since when
        self._failures = 0
        self._failures_ever = 0
        self._aside_until = 0.0

    def ask(self, number: Number, seconds: float | None = None) -> Callable[[], Answer]:
        """Begin a lookup; what is returned waits for the rest of the budget (and of `seconds`, where there is less
        left of it) and says what came of it."""
        if self._is_aside():
            return lambda: self._no_answer("it is down: it is asked again in a while")
        began, failures = self._clock(), self._failures_ever
        future = self._looked_up(number, began)
        if future is None:
            return lambda: self._no_answer("too many lookups are under way")
        patience = self._budget if seconds is None else min(seconds, self._budget)
        return lambda: self._wait(future, began, patience, failures)

    def _looked_up(self, number: Number, now: float) -> Future[tuple[object, float]] | None:
        """The lookup of the number that is under way, unless it hangs, or a new one; None where there are too many."""
        with self._lock:
            future, began = self._under_way.get(number.e164, (None, 0.0))
            if future is not None and now - began <= self._budget:
                return future
            if not self._free.acquire(blocking=False):
                return None
            future = self._pool.submit(self._timed, number)
            self._under_way[number.e164] = future, now
        future.add_done_callback(lambda done: self._let_go(number, done))  # may run here and now, and takes the lock
        return future

    def _let_go(self, number: Number, future: Future[tuple[object, float]]) -> None:
        self._free.release()
        with self._lock:
            if self._under_way.get(number.e164, (None, 0.0))[0] is future:
                del self._under_way[number.e164]

    def _timed(self, number: Number) -> tuple[object, float]:
        began = self._clock()
        return self._lookup(number=number), self._clock() - began

    def _wait(self, future: Future[tuple[object, float]], began: float, patience: float, failures: int) -> Answer:
        try:
            said, seconds = future.result(max(0.0, patience - (self._clock() - began)))
            contacts = self._checked(said)
        except FutureTimeoutError:
            if patience < self._budget:  # who cannot wait for so long says nothing of the directory
                return self._no_answer(f"no answer within {patience:g} s")
            return self._failed(f"no answer within {self._budget:g} s", failures)
        except BaseException as error:  # noqa: BLE001  # a plugin may raise anything, and must not cost the delivery
            return self._failed(str(error) or type(error).__name__, failures)
        self._answered()
        return Answer(self.name, contacts, seconds)

    def _checked(self, said: object) -> tuple[Contact, ...]:
        """The contacts in what a plugin said, with the name of their directory. Raises TypeError for nonsense."""
        contacts = said if isinstance(said, list | tuple) else () if said is None else (said,)
        for contact in contacts:
            if not isinstance(contact, Contact):
                raise TypeError(f"answered with a {type(contact).__name__}, not a Contact")
        return tuple(contact.model_copy(update={"directory": self.name}) for contact in contacts)

    # Failure policy: a directory that is down costs the first deliveries its budget, and the others nothing. It is told
    # once, and once when it is back. Lookups that are under way together fail together, by one blip: they count as one.

    def _is_aside(self) -> bool:
        with self._lock:
            now = self._clock()
            if self._failures < DOWN_AFTER:
                return False
            if now < self._aside_until:
                return True
            self._aside_until = now + ASIDE_FOR
            return False

    def _failed(self, error: str, failures: int) -> Answer:
        """`failures` is how many were known when this lookup was asked for."""
        with self._lock:
            if failures != self._failures_ever:
                return self._no_answer(error)
            self._failures += 1
            self._failures_ever += 1
            if self._failures <= DOWN_AFTER:
                down = f"; it is down, nobody waits for it for {ASIDE_FOR:g} s" if self._failures == DOWN_AFTER else ""
                _log.warning("directory %s: %s%s", self.name, error, down)
            if self._failures == DOWN_AFTER:
                self._aside_until = self._clock() + ASIDE_FOR
        return self._no_answer(error)

    def _answered(self) -> None:
        with self._lock:
            if self._failures >= DOWN_AFTER:
                _log.warning("directory %s works again", self.name)
            self._failures = 0

    def _no_answer(self, error: str) -> Answer:
        return Answer(self.name, (), 0.0, error)


class Directories:
    """The configured directories, in their order of preference: (name, lookup, time budget in seconds)."""

    def __init__(
        self,
        lookups: Sequence[tuple[str, Callable[..., object], float]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directories = [Directory(*one, clock) for one in lookups]
        self._clock = clock
        self._known: OrderedDict[str, tuple[tuple[Contact, ...], float]] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def of(cls, plugins: Plugins) -> Self:
        """Those of the config that are not broken."""
        directories = cls(())
        directories.use(plugins)
        return directories

    def use(self, plugins: Plugins) -> None:
        """From now on ask those of the config that are not broken."""
        for name, directory in plugins.directories.items():
            lookup = plugins.caller("directories", name, "bridge_lookup")
            if directory.error is None and lookup is not None:
                self._directories.append(Directory(name, lookup, directory.settings.timeout, self._clock))

    def __bool__(self) -> bool:
        return bool(self._directories)

    def who_is(self, call: Call) -> Contact | None:
        """The contact of the outside party of a call; None for an unknown, a withheld or an inside number.

        Where several have the number, it is what all of them agree on, and None where not even the name is one.
        """
        number = call.outside_party
        return agreed(self.find(number) or ()) if number is not None else None

    def find(self, number: Number, seconds: float | None = None) -> tuple[Contact, ...] | None:
        """Everybody the first directory that knows the number says has it, asked now or remembered; None where nobody
        is known to and not all have answered.

        Waits for each directory's budget, and no longer than `seconds`.
        """
        if number.e164 is None or not self._directories:
            return ()
        with self._lock:
            contacts, until = self._known.get(number.e164, ((), 0.0))
        if until > self._clock():
            return contacts
        contacts, complete = self._first(number, seconds)
        # Failure policy: a directory that is down or late is not "unknown": it is asked again for the next call, and
        # soon again where one that is less preferred had an answer.
        if not contacts and not complete:
            return None
        seconds_known = (FOUND_FOR if complete else SECOND_BEST_FOR) if contacts else UNKNOWN_FOR
        self._remember(number.e164, contacts, seconds_known)
        return contacts

    def ask_all(self, number: Number) -> list[Answer]:
        """What each directory says now, in their order of preference; nothing is remembered. All are asked at once."""
        return [wait() for wait in [directory.ask(number) for directory in self._directories]]

    def _first(self, number: Number, seconds: float | None) -> tuple[tuple[Contact, ...], bool]:
        """The first answer in the order of preference, and whether all before it answered. All are asked at once."""
        complete = True
        for wait in [directory.ask(number, seconds) for directory in self._directories]:
            answer = wait()
            complete = complete and answer.error is None
            if answer.contacts:
                return answer.contacts, complete
        return (), complete

    def _remember(self, number: str, contacts: tuple[Contact, ...], seconds: float) -> None:
        with self._lock:
            self._known[number] = (contacts, self._clock() + seconds)
            self._known.move_to_end(number)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)


def agreed(contacts: Sequence[Contact]) -> Contact | None:
    """What can be said of several contacts without guessing: what they have in common; None without a common name."""
    if len({contact.name for contact in contacts}) != 1:
        return None
    differing = [
        field for field in ("company", "id", "note") if len({getattr(contact, field) for contact in contacts}) > 1
    ]
    return contacts[0].model_copy(update=dict.fromkeys(differing))
