"""The one reader of the feed in this process: it keeps the board and the grants, and tells the open streams.

Five hundred streams cost one reader: none of them looks into the store.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Any

from bridge import BridgeError, Feed
from callbridge_popup.board import Board, Shown
from callbridge_popup.grants import Grant, Grants, hashed
from callbridge_popup.settings import PopupSettings
from callbridge_popup.streams import RETRY, Stream, message

CALLS = "calls"
GRANTS = "grants"
SESSIONS = "sessions"
CHANNELS = (CALLS, GRANTS, SESSIONS)

TICK = 1.0
"""Seconds between two looks for cards that have been there for too long."""
LOOK_AGAIN = 0.1
"""Seconds between two looks for a token or a session that is not known."""
ROOM_WITHIN = 0.5
"""Seconds within which streams have left whose clients are gone, once they have been made to say something."""
AT_ONCE = 1000
"""Items of the feed that are read together."""


class Full(Exception):
    """There are as many streams as there may be, or the bridge is about to stop."""


class Hub:
    """Runs between `start` and `stop`; safe to use from several threads."""

    def __init__(
        self,
        settings: PopupSettings,
        feed: Feed,
        locale: str,
        log: logging.Logger,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._feed = feed
        self._locale = locale
        self._log = log
        self._clock = clock
        self._lock = threading.RLock()
        self._place_is_free = threading.Condition(self._lock)
        self._making_room = threading.Lock()
        self._after = 0
        self._looked_in_vain_at = float("-inf")
        self._failure: str | None = None
        self._board = Board(settings)
        self._grants = Grants()
        self._streams: set[Stream] = set()
        self._watching: dict[str, set[Stream]] = defaultdict(set)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Read what the feed holds, and go on reading. Raises BridgeError where the store cannot be read."""
        while self.catch_up() == AT_ONCE:
            pass
        self._expire()
        self._thread = threading.Thread(target=self._run, name="popup-hub", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End every stream; no new one is opened."""
        self._stopping.set()
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.end()

    # --- who may see what -----------------------------------------------------------------------------------------

    def grant_of_token(self, token: str) -> Grant | None:
        """The grant a token is of; None for one that is unknown or revoked."""
        return self._known(lambda grants: grants.of_token(token))

    def grant_of_session(self, secret: str) -> Grant | None:
        """The grant that was signed in with; None for a session that is unknown or over."""
        return self._known(lambda grants: grants.of_session(secret, self._clock()))

    def sign_in_candidates(self, extension: str) -> list[Grant | None]:
        """See `Grants.sign_in_candidates`."""
        self._known(lambda _: None)  # for any extension alike, or the time it takes would tell
        with self._lock:
            return self._grants.sign_in_candidates(extension)

    def _known(self, look: Callable[[Grants], Grant | None]) -> Grant | None:
        """What `look` finds, also where another process has just granted it, or signed in.

        Strangers with guesses make the store be read now and then, and not for each of them. Raises BridgeError where
        it could not be read.
        """
        with self._lock:
            found = look(self._grants)
            if found is None and time.monotonic() - self._looked_in_vain_at > LOOK_AGAIN:
                before, self._looked_in_vain_at = self._looked_in_vain_at, time.monotonic()
                self.catch_up()
                found = look(self._grants)
                if found is not None:
                    self._looked_in_vain_at = before
            if found is None and self._failure is not None:
                raise BridgeError(self._failure)
            return found

    # --- streams --------------------------------------------------------------------------------------------------

    @property
    def open_streams(self) -> int:
        """How many streams are open in this process."""
        with self._lock:
            return len(self._streams)

    def open(self, grant: Grant, session: str | None, after: int) -> tuple[Stream, bytes]:
        """Open a stream for the grant (and the session it was signed in with, if any).

        Returns it with what it begins with: the cards as they are, and those that have left the screens since the item
        `after` of the feed. Raises `Full`.
        """
        with self._lock:
            if (self._is_full() and not self._make_room()) or self._stopping.is_set():
                raise Full
            holders = [grant.id, *([hashed(session)] if session else [])]
            stream = Stream(holders, grant.extensions, self._left)
            self._streams.add(stream)
            for extension in stream.extensions:
                self._watching[extension].add(stream)
            return stream, self._beginning(grant, after)

    def _is_full(self) -> bool:
        return len(self._streams) >= self._settings.streams

    def _make_room(self) -> bool:
        """Have the streams speak: those whose clients are gone, as after a page was loaded anew, end by it. For one
        request at a time, as each keeps a thread. The lock is held, and let go while it waits."""
        if not self._making_room.acquire(blocking=False):
            return False
        try:
            for stream in self._streams:
                stream.speak()
            return self._place_is_free.wait_for(lambda: not self._is_full(), ROOM_WITHIN)
        finally:
            self._making_room.release()

    def _beginning(self, grant: Grant, after: int) -> bytes:
        shown = self._board.cards(grant.extensions, after, self._clock())
        hello = {
            "agent": grant.name,
            "extensions": list(grant.extensions),
            "locale": self._locale,
            "ringing_for": self._settings.ringing_for,
            "ended_for": self._settings.ended_for,
            "cards": [card["card"] for _, card in shown if card["state"] != "gone"],
        }
        return b"".join(
            [
                f"retry: {RETRY}\n\n".encode(),
                *[message("call", card, item_id) for item_id, card in shown],
                # The last, so that its id, which is the newest, is the one to go on from.
                message("hello", hello, self._after),
            ]
        )

    def _left(self, stream: Stream) -> None:
        with self._lock:
            self._streams.discard(stream)
            for extension in stream.extensions:
                self._watching[extension].discard(stream)
            self._place_is_free.notify()

    # --- reading the feed -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        is_down, next_look = False, 0.0
        while not self._stopping.is_set():
            try:
                if not self._feed.wait(CHANNELS, self._after, TICK):
                    self._stopping.wait(0.05)  # it does not wait while the bridge stops
                self.catch_up()
                if time.monotonic() >= next_look:  # it goes through all cards, and many a second may change
                    self._expire()
                    next_look = time.monotonic() + TICK
                if is_down:
                    self._log.warning("the store can be read again")
                is_down = False
            except BridgeError as error:
                # Failure policy: what is on the screens stays there, and the next round goes on from the same place.
                if not is_down:
                    self._log.error("the cards cannot be read: %s", error)
                is_down = True
                self._stopping.wait(TICK)
            except Exception:  # noqa: BLE001  # a fault here must not end the cards for good
                self._log.exception("a round of reading the cards failed")
                self._stopping.wait(TICK)

    def catch_up(self) -> int:
        """Read what is new, and tell it; returns how many items that were. Raises BridgeError where that fails."""
        with self._lock:
            try:
                items = self._feed.read(CHANNELS, self._after, limit=AT_ONCE)
            except BridgeError as error:
                self._failure = str(error)
                raise
            self._failure = None
            for item in items:
                self._after = item.id
                self._take(item.channel, item.id, item.data)
            return len(items)

    def _take(self, channel: str, item_id: int, data: Mapping[str, Any]) -> None:
        try:
            if channel == CALLS:
                self._tell(self._board.take(item_id, data, self._clock()))
            else:
                self._end_streams(self._grants.take(data))
        except (ArithmeticError, LookupError, TypeError, ValueError):
            # Failure policy: an item another version wrote costs that item and not the rest.
            self._log.exception("item %d of the feed cannot be read", item_id)

    def _expire(self) -> None:
        with self._lock:
            for changed in self._board.expire(self._after, self._clock()):
                self._tell(changed)
            self._grants.forget_old(self._clock())

    def _tell(self, changed: Mapping[str, Shown]) -> None:
        for extension, (item_id, card) in changed.items():
            watching = self._watching.get(extension)
            if watching:
                text = message("call", card, item_id)
                for stream in watching:
                    stream.put(card["card"], text)

    def _end_streams(self, holders: Collection[str]) -> None:
        if holders:
            for stream in self._streams:
                if not stream.holders.isdisjoint(holders):
                    stream.end()
