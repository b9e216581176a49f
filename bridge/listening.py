"""Ending to listen without losing a post.

granian stops listening and closes what is connected but has not spoken yet at the same moment, so a post that has just
come in would be lost. Before that the kernel is told to drop what asks for a new connection, as if it were lost on the
way: who asks does so again after a second, and is refused then, or taken by a successor. Whoever is connected goes on.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SO_ATTACH_FILTER = 26
_STEPS = (
    (0x30, 0, 0, 13),  # load the flags of the TCP header
    (0x45, 0, 1, 0x02),  # is SYN among them?
    (0x06, 0, 0, 0),  # then keep nothing
    (0x06, 0, 0, 0xFFFFFFFF),  # else all
)
"""The filter, as a classic BPF program (`man 7 socket`)."""


def refuse_newcomers() -> None:
    """Drop what asks any listener of this process for a connection. Elsewhere than on Linux nothing is done."""
    if sys.platform != "linux":
        return
    for descriptor in Path("/proc/self/fd").iterdir():
        # Failure policy: what is no socket, or gone by now, has no newcomers; if the kernel refuses, all is as it was.
        with suppress(OSError), _borrowed(int(descriptor.name)) as one:
            if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                drop_newcomers(one)


def drop_newcomers(listener: socket.socket) -> None:
    """Drop what asks this one for a connection. Raises OSError where the kernel cannot."""
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _STEPS))
    listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(_STEPS), ctypes.addressof(program)))


@contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket]:
    """A socket that somebody else closes. Raises OSError where it is none."""
    one = socket.socket(fileno=descriptor)
    try:
        yield one
    finally:
        one.detach()
