"""Which calls have their row, and whose they are. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, time
from typing import Protocol

MOST_OWNERS = 10_000
"""Calls of which is remembered whose they are."""

Key = tuple[str, ...]
"""What tells a row from all others, but for PBXes with the same ids."""
Owner = tuple[str, str | None]
"""A source and a tenant."""
Traits = Sequence[object]
"""What a row says of its call beside the key: cells as they were read, or values."""


class Known(Protocol):
    """The rows that stand there."""

    def rows(self, key: Key, /) -> Sequence[Traits]:
        """The traits of every row with this key."""

    def add(self, key: Key, traits: Traits, /) -> None:
        """From now on such a row stands there, too."""


class Rows:
    """Rows that were read."""

    def __init__(self) -> None:
        self._rows: dict[Key, list[Traits]] = {}

    def rows(self, key: Key) -> Sequence[Traits]:
        """The traits of every row with this key."""
        return self._rows.get(key, ())

    def add(self, key: Key, traits: Traits) -> None:
        """From now on such a row stands there, too."""
        self._rows.setdefault(key, []).append(traits)

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))


class Owners:
    """Whose the calls are that this process has written, as far back as it remembers: a row need not say it."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str, Key], dict[Owner, Traits]] = {}
        self._place = ""
        self._noted: list[tuple[str, Key]] = []

    @contextmanager
    def writing(self, place: str) -> Iterator[None]:
        """What is noted meanwhile is about this file or spreadsheet, and is forgotten where it could not be written."""
        self._place, self._noted = place, []
        try:
            yield
        except BaseException:
            for noted in self._noted:
                self._owners.pop(noted, None)
            raise

    def others(self, key: Key, owner: Owner, traits: Traits) -> int:
        """How many calls of others have a row that looks like this one's."""
        owned = self._owners.get((self._place, key), {})
        return sum(one != owner and not tells_another_call(seen, traits) for one, seen in owned.items())

    def note(self, key: Key, owner: Owner, traits: Traits) -> None:
        """This call has its row."""
        self._owners.setdefault((self._place, key), {})[owner] = traits
        self._noted.append((self._place, key))
        while len(self._owners) > MOST_OWNERS:
            del self._owners[next(iter(self._owners))]


def tells_another_call(cells: Traits, values: Traits) -> bool:
    """Whether the cells of a row are certainly not of the call that has these values.

    Programs write a date, a time or a number anew in their own way, and people empty cells: that makes no other call.
    """
    return any(_differs(str(cell), value) for cell, value in zip(cells, values, strict=False) if cell is not None)


def _differs(cell: str, value: object) -> bool:
    if isinstance(value, time):
        return _unlike(re.match(r"\D*(\d+):(\d+)", cell), [value.hour, value.minute], 12)
    if isinstance(value, date):
        return _unlike(re.match(r"(\d+)\D(\d+)\D(\d+)", cell), [value.day, value.month, value.year], 100)
    ours, theirs = _digits(str(value or "")), _digits(cell)
    return bool(ours and theirs) and ours != theirs and "E+" not in cell


def _unlike(read: re.Match[str] | None, parts: Iterable[int], modulus: int) -> bool:
    """Whether the numbers that were read, in whatever order and in whatever length of a year or a day, are others."""
    if read is None:
        return False
    return sorted(int(part) % modulus for part in read.groups()) != sorted(part % modulus for part in parts)


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter.isdigit()).lstrip("0")
