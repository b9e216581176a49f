"""A CSV file as Excel opens it: UTF-8 with a BOM, one row appended for each call."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from bridge import Locale, Misconfigured, TemporaryFailure
from callbridge_spreadsheet import journal
from callbridge_spreadsheet.columns import Row
from callbridge_spreadsheet.files import Stamp, explained, locked, replacing, stamp
from callbridge_spreadsheet.harmless import csv_text
from callbridge_spreadsheet.known import Key, Owners, Rows, Traits
from callbridge_spreadsheet.layout import Layout, arrange
from callbridge_spreadsheet.paths import path_of

BOM = "\ufeff"
DELIMITERS = (";", ",", "\t")
USUAL_HEADER = 4096
"""Characters in which a first row usually ends."""
MOST_KNOWN = 3
"""Files whose rows are remembered: this month's, the last one's around midnight, and one more."""


@dataclass(slots=True)
class _Known:
    """What is known of a file that has the stamp `seen`: how it is written, and which calls have their row."""

    seen: Stamp | None
    delimiter: str
    newline: str
    ends_open: bool
    layout: Layout
    calls: _Calls


class _Calls:
    """The calls that have their row in a text.

    To take a large text apart takes long, and most calls are new: it is searched for their ids first.
    """

    def __init__(self, text: str, delimiter: str, layout: Layout) -> None:
        self.text = text
        self._delimiter = delimiter
        self._layout = layout
        self._added = Rows()

    def rows(self, key: Key) -> Sequence[Traits]:
        """What the rows with this key say."""
        # A quote is doubled in a file.
        may_be_there = '"' in key[-1] or key[-1] in self.text
        return [*self._added.rows(key), *(self.read.rows(key) if may_be_there else ())]

    def add(self, key: Key, traits: Traits) -> None:
        """This call has its row from now on."""
        self._added.add(key, traits)

    def __len__(self) -> int:
        return len(self.read) + len(self._added)

    @cached_property
    def read(self) -> Rows:
        """Those in the text."""
        rows = csv.reader(io.StringIO(self.text, newline=""), delimiter=self._delimiter)
        next(rows, None)  # the header
        return self._layout.read(rows)


class CsvFile:
    """Appends to the file that `template` names. `columns` are those of ours; `patience` is in seconds."""

    def __init__(self, template: str, columns: Sequence[str], locale: Locale, patience: float, owners: Owners) -> None:
        self._template = template
        self._columns = columns
        self._owners = owners
        self._locale = locale
        self._patience = patience
        self._known: dict[Path, _Known] = {}

    def place(self, at: datetime) -> str:
        """The file of the call."""
        with explained(Path(self._template)):
            return str(path_of(self._template, at))

    def add(self, place: str, rows: Sequence[Row]) -> None:
        """Append the rows that are not there yet."""
        path = Path(place)
        with explained(path), _parsing(path), locked(path, self._patience) as lock:
            journal.recover(lock, path)
            known = self._know(path)
            new = known.layout.unknown(rows, known.calls, self._owners, csv_text)
            if not new:
                return
            # What is known holds again once the rows stand there.
            del self._known[path]
            lines = [known.layout.line(row, csv_text) for row in new]
            text = known.newline * known.ends_open + _written(lines, known.delimiter, known.newline)
            if known.layout.missing:
                self._write_anew(path, known, text)
            else:
                self._append(lock, path, known, text)
            known.seen, known.ends_open = stamp(path), False
            self._known[path] = known

    def check(self, place: str) -> str:
        """Read the file, and see that it may be written."""
        path = Path(place)
        with explained(path), _parsing(path), locked(path, self._patience):
            known = self._know(path)
            if known.seen is None:
                return f"{path} will be made with the first row"
            with path.open("r+b"):
                return f"{path} has {len(known.calls)} calls"

    def _append(self, lock: BinaryIO, path: Path, known: _Known, text: str) -> None:
        data = text.encode()
        end = (known.seen[1] if known.seen else 0) + len(data)
        journal.append(lock, path, end - len(data), data)
        after = stamp(path)
        if after is None or after[1] != end:
            # Failure policy: somebody else wrote at the same time. The next try finds the rows, or writes them again.
            raise TemporaryFailure(f"{path} was changed by somebody else just now", retry_after=1)

    def _write_anew(self, path: Path, known: _Known, text: str) -> None:
        """Make the file, or add to its header what it lacks: everything else stays as it is, byte for byte."""
        layout, old = known.layout, known.calls.text
        header, end = _header(old, known.delimiter)
        room = layout.width - len(layout.missing)
        cells = [*header[:room], *[""] * (room - len(header)), *layout.missing]
        with replacing(path, known.seen) as file:
            file.write((BOM + _written([cells], known.delimiter, known.newline) + old[end:] + text).encode())
        known.layout = replace(layout, missing=())

    def _know(self, path: Path) -> _Known:
        """What is known of the file; read anew where somebody else has changed it."""
        seen = stamp(path)
        known = self._known.get(path)
        if known is None or known.seen != seen:
            while len(self._known) >= MOST_KNOWN:
                del self._known[next(iter(self._known))]
            known = self._known[path] = self._read(path, seen)
        return known

    def _read(self, path: Path, seen: Stamp | None) -> _Known:
        text = _decoded(path) if seen is not None else ""
        if not text or text.isspace():
            delimiter = ";" if self._locale == "tr" else ","
            layout = arrange([], self._columns, self._locale, str(path))
            return _Known(seen, delimiter, "\r\n", False, layout, _Calls("", delimiter, layout))
        layout, delimiter = self._arranged(text, path)
        newline = "\r\n" if "\r\n" in text else "\n"
        ends_open = not text.endswith(("\n", "\r"))
        return _Known(seen, delimiter, newline, ends_open, layout, _Calls(text, delimiter, layout))

    def _arranged(self, text: str, path: Path) -> tuple[Layout, str]:
        """The layout of the file's header, and by which delimiter it has most of our headings."""
        layouts: list[tuple[Layout, str]] = []
        for delimiter in DELIMITERS:
            try:
                header, _ = _header(text, delimiter)
                layouts.append((arrange(header, self._columns, self._locale, str(path)), delimiter))
            except Misconfigured as error:
                unknown = error
        if not layouts:
            raise unknown
        return min(layouts, key=lambda one: len(one[0].missing))


@contextmanager
def _parsing(path: Path) -> Iterator[None]:
    try:
        yield
    except csv.Error as error:
        raise Misconfigured(f"{path} is no CSV that can be read ({error}): mend it, or move it away") from error


def _decoded(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Misconfigured(
            f'{path} is no UTF-8: open it in Excel and save it as "CSV UTF-8", or move it away'
        ) from None


def _header(text: str, delimiter: str) -> tuple[list[str], int]:
    """The cells of the first row, and where the rest begins."""
    # To copy a long file takes longer than to append to it, and few headers are longer than its first piece.
    for piece in (text[:USUAL_HEADER], text):
        source = io.StringIO(piece, newline="")
        cells = next(csv.reader(source, delimiter=delimiter), [])
        if source.tell() < len(piece):
            break
    return cells, source.tell()


def _written(lines: Sequence[Sequence[str]], delimiter: str, newline: str) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=newline).writerows(lines)
    return text.getvalue()
