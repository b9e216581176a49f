"""The listener: one connection that hears what other processes announce, and by which one process leads them all."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from bridge.store.dialects.news import ANYTHING, Hear

if TYPE_CHECKING:
    from psycopg import Connection

CHANNEL = "callbridge"
MIGRATING, LEADING, PUBLISHING = 0x63616C6C, 0x6C656164, 0x66656564
"""The first halves of advisory locks of two halves; those of calls have one number and never meet them."""
LOOK_SECONDS = 1.0
"""Seconds between two looks whether the connection still works and whether nobody leads any more; and between two tries
to connect."""

_log = logging.getLogger("callbridge.store")


class Listener:
    """See `Watch`. `connect` opens a connection of psycopg's that commits by itself.

    Failure policy: a connection that breaks is opened anew until that works. This process does not lead meanwhile, and
    what it may have missed is heard as news of anything.
    """

    def __init__(self, connect: Callable[[], Connection[Any]], hear: Hear) -> None:
        self._connect = connect
        self._hear = hear
        self._leads = False
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
        while True:
            if not self._leads:
                (self._leads,) = connection.execute("SELECT pg_try_advisory_lock(%s, 0)", [LEADING]).fetchone() or (
                    False,
                )
            else:
                connection.execute("SELECT 1")
            for news in connection.notifies(timeout=0):
                kind, _, name = news.payload.partition(" ")
                self._hear(kind, name)
            if self._is_told(LOOK_SECONDS, connection.fileno()):
                connection.execute("SELECT pg_advisory_unlock_all()")  # sooner than the server sees that it is closed
                return

    def _is_told(self, seconds: float, *also: int) -> bool:
        """Whether it is to stop; waits for that, or for something to read in `also`."""
        return self._told in select.select([self._told, *also], [], [], seconds)[0]
