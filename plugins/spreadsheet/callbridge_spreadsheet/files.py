"""Files that several programs write: a lock, replacing a file whole, and what a fault means."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bridge import Misconfigured, TemporaryFailure

Stamp = tuple[int, int, int]
"""What changes when a file does: its inode, size and time of change."""


def stamp(path: Path) -> Stamp | None:
    """The stamp of a file; None where there is none."""
    try:
        seen = path.stat()
    except FileNotFoundError:
        return None
    return seen.st_ino, seen.st_size, seen.st_mtime_ns


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Say what a fault of the file system means for the row.

    Failure policy: what people can end by closing a window or making room passes; a folder that is not there does not.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Misconfigured(f"there is no folder {path.parent}: make it, or mend `path`") from error
    except IsADirectoryError as error:
        raise Misconfigured(f"{path} is a folder: mend `path`") from error
    except PermissionError as error:
        raise TemporaryFailure(
            f"{path} cannot be written: close it where it is open, or let the bridge write there"
        ) from error
    except OSError as error:
        raise TemporaryFailure(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def locked(path: Path, patience: float) -> Iterator[BinaryIO]:
    """Keep all other connectors and bridges from the file meanwhile; yields the lock's own file.

    The system lets go of a lock whose process dies. Raises `TemporaryFailure` after `patience` seconds.
    """
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)
    with os.fdopen(descriptor, "r+b", buffering=0) as lock:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TemporaryFailure(f"another program of callbridge keeps writing to {path}") from None
                time.sleep(0.01)
        yield lock


@contextmanager
def replacing(path: Path, seen: Stamp | None) -> Iterator[BinaryIO]:
    """Write a file beside `path`, and put it in its place at the end: there is always a whole one.

    Raises `TemporaryFailure` where the file is no longer as it was `seen`: somebody saved something meanwhile. To be
    used under the lock, which is what keeps the file beside it from being written twice.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        with beside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if stamp(path) != seen:
            raise TemporaryFailure(f"{path} was changed by somebody else just now", retry_after=1)
        if seen is not None:
            shutil.copymode(path, beside)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
