"""The flight recorder: which deliveries are being tried, in memory that the process shares with its parent.

A plugin can take its process down with it: exit it, crash it, eat its memory. The parent starts the next one, which
reads here what was under way at the end.

::

    free ──a call begins──▶ flying ──it returns──▶ free
                              │ the process dies
                              ▼
                           suspect ──tried alone──▶ flying alone ──the process dies: one kill──▶ suspect
"""

from __future__ import annotations

import mmap
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

SLOTS = 1024
"""Deliveries that can be noted at the same time; further ones are tried all the same."""
SLOT_SIZE = 64
"""Bytes: the state, the kills, then the id, filled up with zeros."""
FREE, FLYING, ALONE, SUSPECT = range(4)


@dataclass(frozen=True, slots=True)
class Suspect:
    """A delivery that was under way when a process died; `kills`: how often while nothing else was suspected."""

    id: str
    kills: int


class FlightRecorder:
    """To be made before the processes that write and read it are forked. One of them uses it at a time."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, SLOTS * SLOT_SIZE)
        self._free = deque(range(SLOTS))
        self._suspects: dict[str, int] = {}
        self._alone: str | None = None

    def take_over(self) -> Sequence[Suspect]:
        """Begin to use what a process that died has left: those that were under way, the least suspected first."""
        slots = {slot: self._memory[slot * SLOT_SIZE] for slot in range(SLOTS)}
        used = [slot for slot, state in slots.items() if state != FREE]
        dying = [slot for slot in used if slots[slot] == ALONE] or [slot for slot in used if slots[slot] == FLYING]
        for slot in used:
            killed = len(dying) == 1 and slot in dying
            self._write(slot, SUSPECT, self._kills(slot) + killed)
        self._free = deque(slot for slot, state in slots.items() if state == FREE)
        self._suspects = {self._id(slot): slot for slot in used}
        found = [Suspect(delivery, self._kills(slot)) for delivery, slot in self._suspects.items()]
        return sorted(found, key=lambda one: (one.kills, one.id))

    def clear(self) -> None:
        """Forget everything: this process ends in an orderly way."""
        self._memory[:] = bytes(len(self._memory))

    def try_alone(self, delivery: str | None) -> None:
        """From now on this suspect flies alone (None: nobody does)."""
        self._alone = delivery

    def acquit(self, delivery: str) -> None:
        """Suspect it no more."""
        if (slot := self._suspects.pop(delivery, None)) is not None:
            self._write(slot, FREE, 0)
            self._free.append(slot)

    @contextmanager
    def flight(self, deliveries: Sequence[str]) -> Iterator[None]:
        """They are under way as long as this lasts. Who survives it is no suspect."""
        slots = [self._begin(delivery) for delivery in deliveries]
        try:
            yield
        finally:
            for delivery, slot in zip(deliveries, slots, strict=True):
                if slot is not None:
                    self._suspects.pop(delivery, None)
                    self._write(slot, FREE, 0)
                    self._free.append(slot)

    def _begin(self, delivery: str) -> int | None:
        if (slot := self._suspects.get(delivery)) is not None:
            self._write(slot, ALONE if delivery == self._alone else FLYING, self._kills(slot))
            return slot
        try:
            slot = self._free.popleft()
        except IndexError:
            return None
        start, text = slot * SLOT_SIZE, delivery.encode()[: SLOT_SIZE - 2]
        self._memory[start + 2 : start + SLOT_SIZE] = text.ljust(SLOT_SIZE - 2, b"\0")
        self._write(slot, FLYING, 0)  # last: what stands before it is whole
        return slot

    def _write(self, slot: int, state: int, kills: int) -> None:
        self._memory[slot * SLOT_SIZE : slot * SLOT_SIZE + 2] = bytes((state, min(kills, 255)))

    def _kills(self, slot: int) -> int:
        return self._memory[slot * SLOT_SIZE + 1]

    def _id(self, slot: int) -> str:
        return self._memory[slot * SLOT_SIZE + 2 : (slot + 1) * SLOT_SIZE].rstrip(b"\0").decode(errors="replace")
