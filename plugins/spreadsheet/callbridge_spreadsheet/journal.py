"""What is about to be appended to a file, kept in its lock's file until it stands there.

A process that is killed while it appends leaves half a row behind. Whoever takes the lock next completes it.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

_HEAD = struct.Struct("!QQL")
"""Where the file ended, how many bytes are to follow, and their checksum."""


def append(lock: BinaryIO, path: Path, at: int, data: bytes) -> None:
    """Append to a file of `at` bytes, all or nothing.

    Failure policy: where the disk is full, what was begun is taken back.
    """
    lock.seek(0)
    _write(lock.fileno(), _HEAD.pack(at, len(data), zlib.crc32(data)) + data)
    try:
        _append(path, data)
    except OSError:
        begun = _from(path, at)
        if begun and data.startswith(begun):
            os.truncate(path, at)
        raise
    finally:
        lock.truncate(0)


def recover(lock: BinaryIO, path: Path) -> None:
    """Complete what a killed process began to append. What people have changed since is left alone."""
    lock.seek(0)
    head, data = lock.read(_HEAD.size), lock.read()
    if not head:
        return
    if len(head) == _HEAD.size and path.exists():
        at, size, checksum = _HEAD.unpack(head)
        begun = _from(path, at)
        is_whole = (len(data), zlib.crc32(data)) == (size, checksum)
        if is_whole and begun is not None and len(begun) < size and data.startswith(begun):
            _append(path, data[len(begun) :])
    lock.truncate(0)


def _from(path: Path, at: int) -> bytes | None:
    """What stands in a file from a place on; None where it does not reach there."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) < at:
            return None
        file.seek(at)
        return file.read()


def _append(path: Path, data: bytes) -> None:
    # Where the file ends is for the system to say: others may append at this moment. It must not be made here.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        _write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
