"""That the file of an SQLite store is still the one that was opened: who has it open writes on into it, wherever it has
been moved to, and what is written there is not found again."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from bridge.errors import StoreError

MAGIC = b"SQLite format 3\0"


class Presence:
    """Of the file at `path`, as it is when it is first seen to be a database.

    It is kept open until the end: a process that closes a file loses its locks on it, those of SQLite too.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def check(self) -> None:
        """Raises StoreError while the file is not there, is another one, or is no database any more."""
        if self._descriptor is None:
            self._descriptor = self._open()
            return
        try:
            is_there = os.path.samestat(self._path.stat(), os.fstat(self._descriptor))
            is_database = _is_database(self._descriptor)
        except OSError as error:
            raise self._unusable(f"{error.strerror}: put the file back, or restart the bridge") from error
        if not is_there:
            raise self._unusable("another file has taken its place: put the former back, or restart the bridge")
        if not is_database:
            raise self._unusable("it is damaged: stop the bridge and bring back a backup (`callbridge restore FILE`)")

    def end(self) -> None:
        """Let go of the file, after SQLite has."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int | None:
        with contextlib.suppress(OSError):  # it is still to be made, or SQLite says what is wrong
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            with contextlib.suppress(OSError):
                if _is_database(descriptor):
                    return descriptor
            os.close(descriptor)
        return None

    def _unusable(self, reason: str) -> StoreError:
        return StoreError(f"the store cannot be used ({self._path}): {reason}")


def _is_database(descriptor: int) -> bool:
    return os.pread(descriptor, len(MAGIC), 0) == MAGIC
