"""Who has the number and what the last calls with it were: asked after the card is out, which never waits for it."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

from bridge import BridgeError, Call, CallData, Directories, Feed, History, Number
from callbridge_popup.board import call_key, found_item
from callbridge_popup.hub import CALLS

AT_ONCE = 16
"""Lookups under way: as many as a directory takes. Threads are begun as needed; an idle one keeps some 16 kB."""
REMEMBERED = 10_000
PAST_CALLS = 6
"""Of which one may be the present call."""


class Lookups:
    """Looks each call up until the directories have answered, in threads of its own, and publishes what it finds."""

    def __init__(self, feed: Feed, directories: Directories, history: History, log: logging.Logger) -> None:
        self._feed = feed
        self._directories = directories
        self._history = history
        self._log = log
        self._pool = ThreadPoolExecutor(AT_ONCE, "popup-lookup")  # no thread before the first use
        self._lock = threading.Lock()
        self._asked: OrderedDict[str, None] = OrderedDict()

    def want(self, data: CallData, keep: float) -> None:
        """Look up the other party of a call, unless that is done or under way; what is found is kept for so many
        seconds."""
        number = data.call.outside_party
        if number is None or number.e164 is None:
            return  # a colleague, somebody who withholds his number, or a number that this connector may not know
        key = call_key(data)
        with self._lock:
            if key in self._asked:
                return
            self._asked[key] = None
            if len(self._asked) > REMEMBERED:
                self._asked.popitem(last=False)
        self._pool.submit(self._look, key, number, keep)

    def stop(self) -> None:
        """Begin no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _look(self, key: str, number: Number, keep: float) -> None:
        # Failure policy: a card without a name is still a card; the next event of the call looks again.
        try:
            contacts = self._directories.find(number)  # None: not all have answered
            self._feed.publish(CALLS, found_item(key, contacts, self._past(number)), keep=keep)
        except Exception:  # noqa: BLE001  # a thread of a pool tells nobody of what goes wrong
            self._log.exception("a number could not be looked up")
            contacts = None
        if contacts is None:
            with self._lock:
                self._asked.pop(key, None)

    def _past(self, number: Number) -> list[Call]:
        try:
            return list(self._history.calls(number, limit=PAST_CALLS))
        except BridgeError as error:
            self._log.warning("the history of a number cannot be read: %s", error)
            return []
