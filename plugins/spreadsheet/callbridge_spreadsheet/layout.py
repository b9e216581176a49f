"""Which column stands where: the file's own order is kept, with people's columns; what it lacks is added at the right.
Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bridge import Locale, Misconfigured
from callbridge_spreadsheet.columns import CATALOGUE, Row, Value, identifying
from callbridge_spreadsheet.known import Key, Known, Owners, Rows, Traits, tells_another_call

T = TypeVar("T")
TRAITS = ("date", "time", "line")
"""Columns that tell two calls of one id apart, and that nobody has a reason to mend by hand."""


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

    @property
    def telling(self) -> list[str]:
        """The columns that tell calls with the same key apart; none where the key says all of a call."""
        whole = {"source", "tenant"} <= self.places.keys() or "event_id" in self.places
        return [] if whole else [name for name in TRAITS if name in self.places]

    @property
    def reading(self) -> list[int]:
        """Where the columns stand that have to be read to find a call's row."""
        return [*self.identifying, *(self.places[name] for name in self.telling)]

    def traits(self, cells: Sequence[object]) -> Traits:
        """What a row that was read says of its call beside the key."""
        places = [self.places[name] for name in self.telling]
        return [cells[place] if place < len(cells) else None for place in places]

    def read(self, rows: Iterable[Sequence[object]]) -> Rows:
        """The calls of rows that were read."""
        found = Rows()
        for cells in rows:
            if (key := self.key(cells)) is not None:
                found.add(key, self.traits(cells))
        return found

    def unknown(self, rows: Iterable[Row], known: Known, owners: Owners, plain: Callable[[Value], str]) -> list[Row]:
        """The rows that are not known, each once; they are known from then on.

        Rows that others own do not stand for this call: of two PBXes' calls with one id each has its row.
        """
        found = []
        for row in rows:
            key = self.key_of([plain(row.cells[name]) for name in identifying([*self.places])])
            if key is None:
                continue
            traits = [row.cells[name] for name in self.telling]
            alike = sum(not tells_another_call(one, traits) for one in known.rows(key))
            if alike <= owners.others(key, row.owner, traits):
                known.add(key, traits)
                found.append(row)
            owners.note(key, row.owner, traits)
        return found


def arrange(header: Sequence[object], columns: Sequence[str], locale: Locale, where: str) -> Layout:
    """How rows of `columns` stand under a header that was read (empty for a new file).

    A heading is known in both languages and by the column's name in the config. Raises `Misconfigured` where none is.
    """
    read = [_folded(str(heading or "")) for heading in header]
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
    return [_folded(text) for text in (name, CATALOGUE[name].en, CATALOGUE[name].tr)]


def _folded(heading: str) -> str:
    """Without capitals, whichever language wrote them: I is the capital of i or of ı, and İ of i."""
    return heading.strip().replace("İ", "i").replace("ı", "i").casefold()
