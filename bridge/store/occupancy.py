"""That somebody uses a store: a lock on a file beside it. The kernel lets go of it when a process ends, however it
ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from bridge.errors import StoreError


class Occupancy:
    """Of the SQLite file `database`: any number of processes may use it at once, or one may put another in its place.

    Raises StoreError while somebody does the latter.
    """

    def __init__(self, database: Path) -> None:
        self._descriptor: int | None = None
        # Failure policy: in a folder that cannot be written no lock is taken; nothing can be restored into it either.
        with contextlib.suppress(PermissionError, FileNotFoundError):
            self._descriptor = _open(database)
        if self._descriptor is not None:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                self.end()
                raise StoreError(f"{database} is being restored: try again when that is done") from None

    def end(self) -> None:
        """The store is used no more. A child of this process that was forked meanwhile may still use it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextlib.contextmanager
def alone(database: Path) -> Iterator[None]:
    """Keep others from using the store. Raises StoreError where somebody does."""
    descriptor = _open(database)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise StoreError(f"a callbridge uses {database}: stop it first") from None
    finally:
        os.close(descriptor)


def _open(database: Path) -> int:
    return os.open(f"{database}.lock", os.O_RDWR | os.O_CREAT, 0o600)
