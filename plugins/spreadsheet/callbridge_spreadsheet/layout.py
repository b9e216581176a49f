"""Which column stands where: the file's own order is kept, with people's columns; what it lacks is added at the right.
Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from bridge import Locale, Misconfigured
from callbridge_spreadsheet.columns import CATALOGUE, Row, Value, identifying

T = TypeVar("T")
Key = tuple[str, ...]
"""What tells a row from all others."""


class Keys(Protocol):
    """The calls that have their row. A set is one."""

    def __contains__(self, key: object, /) -> bool: ...

    def add(self, key: Key, /) -> None:
        """From now on this call has its row, too."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A header: where each of our columns stands (from 0), how many columns there are, and which headings to add."""

    places: Mapping[str, int]
    width: int
    missing: tuple[str, ...]

    def line(self, row: Row, show: Callable[[Value], T]) -> list[T]:
        """A row as it stands under the header; nothing in people's columns."""
        cells = [show(None)] * self.width
        for name, place in self.places.items():
            cells[place] = show(row.cells[name])
        return cells

    @property
    def identifying(self) -> list[int]:
        """Where the columns stand that tell a call from all others."""
        return [self.places[name] for name in identifying([*self.places])]

    def key(self, cells: Sequence[object]) -> Key | None:
        """Which call a row that was read is about; None for a row of people's own."""
        return self.key_of([cells[place] if place < len(cells) else None for place in self.identifying])

    def key_of(self, values: Sequence[object]) -> Key | None:
        """The same, of the identifying cells alone."""
        key = tuple("" if value is None else str(value) for value in values)
        return key if key[-1] else None

    def unknown(self, rows: Iterable[Row], known: Keys, plain: Callable[[Value], str]) -> list[Row]:
        """The rows that are not known, each once; they are known from then on."""
        found = []
        for row in rows:
            key = self.key_of([plain(row.cells[name]) for name in identifying([*self.places])])
            if key is not None and key not in known:
                known.add(key)
                found.append(row)
        return found


def arrange(header: Sequence[object], columns: Sequence[str], locale: Locale, where: str) -> Layout:
    """How rows of `columns` stand under a header that was read (empty for a new file).

    A heading is known in both languages and by the column's name in the config. Raises `Misconfigured` where none is.
    """
    read = [str(heading or "").strip().casefold() for heading in header]
    while read and not read[-1]:
        read.pop()
    places = {name: read.index(heading) for name in columns for heading in _headings(name) if heading in read}
    if read and not places:
        known = ", ".join(CATALOGUE[name].heading(locale) for name in columns[:3])
        raise Misconfigured(f"{where} has another table: its first row has no heading such as {known}; name another")
    missing = [name for name in columns if name not in places]
    places |= {name: len(read) + number for number, name in enumerate(missing)}
    headings = tuple(CATALOGUE[name].heading(locale) for name in missing)
    return Layout(places, len(read) + len(missing), headings)


def _headings(name: str) -> list[str]:
    return [text.casefold() for text in (name, CATALOGUE[name].en, CATALOGUE[name].tr)]
