"""Keeps an address book in memory and renews it in a thread of its own: a lookup never waits for a file or a server."""

from __future__ import annotations

import logging
import threading
from typing import Protocol

from bridge import BridgeError, TemporaryFailure
from callbridge_contacts.book import Book

RETRY = 30.0
"""Seconds after which a place that failed is looked at again, unless that is its turn anyway."""


class Place(Protocol):
    """Where contacts come from: `where` says it to people, `every` are the seconds between two looks."""

    @property
    def where(self) -> str: ...

    @property
    def every(self) -> float: ...

    def load(self) -> Book | None:
        """Everything, or None where nothing has changed. Raises a `BridgeError` that says what is wrong."""

    def close(self) -> None:
        """No more loading."""


class Keeper:
    """Holds what `place` said last. Safe to use from several threads."""

    def __init__(self, place: Place, log: logging.Logger) -> None:
        self._place = place
        self._log = log
        self._book: Book | None = None
        self._trouble: str | None = None
        self._loading = threading.Lock()
        self._tried = threading.Event()
        self._stopped = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to load and renew, unless that has begun."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="callbridge-contacts", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Renew no more."""
        self._stopped.set()
        self._place.close()

    def book(self, seconds: float) -> Book:
        """What is known; right after the start, wait for it for so long.

        Raises `TemporaryFailure` where there is none.
        """
        if self._book is None:
            self.start()
            self._tried.wait(seconds)
        if self._book is None:
            raise TemporaryFailure(self._trouble or f"{self._place.where}: not loaded yet")
        return self._book

    def renewed(self) -> Book:
        """What is there now, looked at in this thread. Raises a `BridgeError` that says what is wrong."""
        with self._loading:
            self._book = self._place.load() or self._book
        return self.book(0)

    def _run(self) -> None:
        pause = 0.0
        while not self._stopped.wait(pause):
            self._renew()
            self._tried.set()
            pause = self._place.every if self._trouble is None else min(self._place.every, RETRY)

    def _renew(self) -> None:
        # Failure policy: what was known before stays known. The trouble is told once, and once when it is over.
        try:
            with self._loading:
                book = self._place.load()
        except BridgeError as error:
            trouble = str(error)
        except Exception as error:  # noqa: BLE001  # whatever a file or a server holds, the next look must come
            trouble = f"{self._place.where} cannot be used: {type(error).__name__}: {error}"
        else:
            if self._trouble is not None:
                self._log.warning("%s can be used again", self._place.where)
            self._trouble = None
            if book is not None:
                self._book = book
                self._log.info("%s: %d contacts with %d numbers", self._place.where, book.contacts, book.numbers)
            return
        if trouble != self._trouble:
            self._log.warning("%s%s", trouble, "; what was read before is still used" if self._book else "")
        self._trouble = trouble
