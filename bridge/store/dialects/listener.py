"""The listener: one connection that hears what other processes announce, by which one process leads them all, and which
keeps the time."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from bridge.store.dialects.news import ANYTHING, Hear
from bridge.store.serverclock import CLOCK, ServerClock

if TYPE_CHECKING:
    from psycopg import Connection

CHANNEL = "callbridge"
MIGRATING, LEADING, PUBLISHING = 0x63616C6C, 0x6C656164, 0x66656564
"""The first halves of advisory locks of two halves; those of calls have one number and never meet them."""
LOOK_SECONDS = 1.0
"""Seconds between two looks whether the connection still works, whether nobody leads any more and what time it is; and
between two tries to connect."""

_BEAT = (
    f"INSERT INTO heartbeat (name, beat_at) VALUES ('{CLOCK}', %s) "  # noqa: S608  # our own name
    "ON CONFLICT (name) DO UPDATE SET beat_at = excluded.beat_at"
)

_log = logging.getLogger("callbridge.store")


class Listener:
    """See `Watch`. `connect` opens a connection of psycopg's that commits by itself; `clock` is kept right.

    Failure policy: a connection that breaks is opened anew until that works. This process does not lead meanwhile, and
    what it may have missed is heard as news of anything.
    """

    def __init__(self, connect: Callable[[], Connection[Any]], hear: Hear, clock: ServerClock) -> None:
        self._connect = connect
        self._hear = hear
        self._clock = clock
        self._leads = False
        self._next_beat = 0.0
        self._told, self._tell = os.pipe()
        self._thread = threading.Thread(target=self._run, name="store-listener", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        os.write(self._tell, b".")
        if self._thread.ident is not None:
            self._thread.join()
        for descriptor in (self._told, self._tell):
            os.close(descriptor)

    def leads(self) -> bool:
        return self._leads

    def _run(self) -> None:
        import psycopg

        was_down = False
        while not self._is_told(0.0):
            try:
                with contextlib.closing(self._connect()) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._hear(ANYTHING, "")  # whatever happened before
                    was_down = False
                    self._listen(connection)
                    return
            except (psycopg.Error, SQLAlchemyError) as error:
                if not was_down:
                    _log.warning("other processes are not heard for now: %s", str(error).splitlines()[0])
                was_down = True
            finally:
                self._leads = False
            if self._is_told(LOOK_SECONDS):
                return

    def _listen(self, connection: Connection[Any]) -> None:
        """Until it is told to stop. Raises psycopg's errors where the connection breaks."""
        is_new = True
        while True:
            self._look(connection, is_new=is_new)
            is_new = False
            for news in connection.notifies(timeout=0):
                kind, _, name = news.payload.partition(" ")
                self._hear(kind, name)
            if self._is_told(LOOK_SECONDS, connection.fileno()):
                connection.execute("SELECT pg_advisory_unlock_all()")  # sooner than the server sees that it is closed
                return

    def _look(self, connection: Connection[Any], *, is_new: bool) -> None:
        """Lead, if nobody does, see what time it is, and say by which time all go.

        Failure policy: where a connection was lost, nobody leads and the server is ahead, this machine was halted, and
        that time has passed; it is not taken for a jump.
        """
        lead = "true" if self._leads else f"pg_try_advisory_lock({LEADING}, 0)"

        def ask(columns: str) -> Any:
            self._leads, *said = connection.execute(f"SELECT {lead}, {columns}").fetchone() or (False, 0.0, None)
            return said

        known = self._clock.jump
        self._clock.ask(ask)
        if is_new and self._leads and not known and self._clock.jump > 0:
            self._clock.follow(self._clock.jump)
        if self._leads and not self._clock.jump and time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + LOOK_SECONDS / 2
            connection.execute(_BEAT, [self._clock()])

    def _is_told(self, seconds: float, *also: int) -> bool:
        """Whether it is to stop; waits for that, or for something to read in `also`."""
        return self._told in select.select([self._told, *also], [], [], seconds)[0]
