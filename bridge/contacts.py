"""Who is calling: asking the configured directories, briefly, and remembering for a while what they said."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError

from bridge.model import Call, Contact, Number

FOUND_FOR = 600.0
"""Seconds a contact that was found is remembered."""
UNKNOWN_FOR = 60.0
"""Seconds it is remembered that nobody knew a number."""
REMEMBERED = 10_000
"""Numbers remembered at most."""
AT_ONCE = 16
"""Lookups a directory may have under way: one that hangs is asked no more until it lets go of some."""

_log = logging.getLogger("callbridge.contacts")


class _Directory:
    """One directory, with threads of its own: one that hangs must not use up those of another."""

    def __init__(self, name: str, lookup: Callable[..., Contact | None], budget: float) -> None:
        self.name = name
        self.budget = budget
        self._lookup = lookup
        self._pool = ThreadPoolExecutor(AT_ONCE, f"directory-{name}")  # no thread before the first use
        self._free = threading.Semaphore(AT_ONCE)

    def ask(self, number: Number) -> Future[Contact | None] | None:
        """Begin a lookup; None while too many are under way."""
        if not self._free.acquire(blocking=False):
            return None
        future = self._pool.submit(self._lookup, number=number)
        future.add_done_callback(lambda _: self._free.release())
        return future


class Directories:
    """The configured directories, in their order of preference: (name, lookup, time budget in seconds)."""

    def __init__(
        self,
        lookups: Sequence[tuple[str, Callable[..., Contact | None], float]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directories = [_Directory(*one) for one in lookups]
        self._clock = clock
        self._known: OrderedDict[str, tuple[Contact | None, float]] = OrderedDict()
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._directories)

    def who_is(self, call: Call) -> Contact | None:
        """The contact of the outside party of a call; None for an unknown, a withheld or an inside number."""
        number = call.called if call.direction == "outbound" else call.caller
        if call.direction == "internal" or number is None or number.e164 is None or not self._directories:
            return None
        with self._lock:
            contact, until = self._known.get(number.e164, (None, 0.0))
        if until > self._clock():
            return contact
        contact, complete = self._ask(number)
        # Failure policy: a directory that is down or late is not "unknown": it is asked again for the next call.
        if contact or complete:
            self._remember(number.e164, contact)
        return contact

    def _ask(self, number: Number) -> tuple[Contact | None, bool]:
        """The first answer in the order of preference, and whether all before it answered. All are asked at once."""
        asked = [(directory, directory.ask(number)) for directory in self._directories]
        began = self._clock()
        complete = True
        for directory, future in asked:
            left = max(0.0, directory.budget - (self._clock() - began))
            contact, answered = self._answer(directory.name, future, left) if future else (None, False)
            complete = complete and answered
            if contact is not None:
                return contact, complete
        return None, complete

    def _answer(self, name: str, future: Future[Contact | None], seconds: float) -> tuple[Contact | None, bool]:
        try:
            contact = future.result(seconds)
        except FutureTimeoutError:
            _log.warning("directory %s did not answer in time", name)
            return None, False
        except BaseException as error:  # noqa: BLE001  # a plugin may raise anything, and must not cost the delivery
            _log.warning("directory %s failed: %s", name, error)
            return None, False
        if contact is not None and not isinstance(contact, Contact):
            _log.warning("directory %s answered with a %s, not a Contact", name, type(contact).__name__)
            return None, False
        return contact.model_copy(update={"directory": name}) if contact else None, True

    def _remember(self, number: str, contact: Contact | None) -> None:
        with self._lock:
            self._known[number] = (contact, self._clock() + (FOUND_FOR if contact else UNKNOWN_FOR))
            self._known.move_to_end(number)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
