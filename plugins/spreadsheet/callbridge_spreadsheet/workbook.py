"""An Excel workbook: read, given its new rows, and written whole beside the old one, which it then replaces."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import openpyxl
from openpyxl.cell import Cell
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet.worksheet import Worksheet

from bridge import Locale, Misconfigured, TemporaryFailure
from callbridge_spreadsheet.columns import Row, Value
from callbridge_spreadsheet.files import explained, locked, replacing, stamp
from callbridge_spreadsheet.harmless import text
from callbridge_spreadsheet.known import Owners, Rows
from callbridge_spreadsheet.layout import Layout, arrange
from callbridge_spreadsheet.losses import refuse_losses
from callbridge_spreadsheet.paths import path_of

TITLES: Mapping[Locale, str] = {"en": "Calls", "tr": "Çağrılar"}
DAYS: Mapping[Locale, str] = {"en": "yyyy-mm-dd", "tr": "dd.mm.yyyy"}
WIDTHS: Mapping[str, int] = {"number": 20, "name": 24, "company": 24, "cause": 20, "call_id": 38, "event_id": 32}
"""Characters; other columns take as many as their headings need."""
NARROWEST = 11
UNREADABLE = (BadZipFile, EOFError, InvalidFileException, KeyError, SyntaxError, ValueError, zlib.error)
"""What openpyxl raises for a file that is no workbook, or a broken one."""


class Workbook:
    """Writes into one sheet of the workbook that `template` names. `patience` is in seconds."""

    def __init__(
        self,
        template: str,
        worksheet: str | None,
        columns: Sequence[str],
        locale: Locale,
        patience: float,
        owners: Owners | None = None,
    ) -> None:
        self._template = template
        self._worksheet = worksheet
        self._columns = columns
        self._owners = owners or Owners()
        self._locale = locale
        self._patience = patience

    def place(self, at: datetime) -> str:
        """The workbook of the call."""
        with explained(Path(self._template)):
            return str(path_of(self._template, at))

    def add(self, place: str, rows: Sequence[Row]) -> None:
        """Rewrite the workbook with the rows that are not there yet; not at all where all are."""
        path = Path(place)
        with explained(path), locked(path, self._patience):
            _refuse_if_open(path)
            seen = stamp(path)
            book, sheet = self._open(path) if seen is not None else self._new()
            layout = arrange([cell.value for cell in sheet[1]], self._columns, self._locale, place)
            last, known = _calls(sheet, layout)
            new = layout.unknown(rows, known, self._owners, text)
            lines = [layout.line(row, lambda value: value) for row in new]
            if not lines:
                return
            self._add_headings(sheet, layout)
            for number, line in enumerate(lines, start=last + 1):
                self._fill(sheet, number, line)
            if layout.width == len(layout.missing):
                _prepare(sheet, last + len(lines), layout.width)
            else:
                _stretch(sheet, last, last + len(lines))
            # openpyxl knows no results: what people's formulas say is for Excel to work out.
            book.calculation.fullCalcOnLoad = True
            with replacing(path, seen) as file:
                book.save(file)
                refuse_losses(path, Path(file.name))
                _refuse_if_open(path)

    def check(self, place: str) -> str:
        """Read the workbook, and see that it may be written."""
        path = Path(place)
        with explained(path), locked(path, self._patience):
            _refuse_if_open(path)
            if stamp(path) is None:
                return f"{path} will be made with the first row"
            _, sheet = self._open(path)
            layout = arrange([cell.value for cell in sheet[1]], self._columns, self._locale, place)
            with path.open("r+b"):
                return f'{path} has {len(_calls(sheet, layout)[1])} calls in "{sheet.title}"'

    def _open(self, path: Path) -> tuple[openpyxl.Workbook, Worksheet]:
        try:
            book = openpyxl.load_workbook(path)
        except UNREADABLE as error:
            raise Misconfigured(f"{path} is no workbook that can be read: move it away, or mend `path`") from error
        if self._worksheet is None:
            sheet = book.worksheets[0]
        else:
            # Excel allows no two names that differ in capitals alone.
            named = [name for name in book.sheetnames if name.casefold() == self._worksheet.casefold()]
            sheet = book[named[0]] if named else book.create_sheet(self._worksheet)
        if not isinstance(sheet, Worksheet):
            raise Misconfigured(f'"{sheet.title}" in {path} is a chart: name another `worksheet`')
        return book, sheet

    def _new(self) -> tuple[openpyxl.Workbook, Worksheet]:
        book = openpyxl.Workbook()
        sheet = book.worksheets[0]
        sheet.title = self._worksheet or TITLES[self._locale]
        return book, sheet

    def _add_headings(self, sheet: Worksheet, layout: Layout) -> None:
        names = [name for name, place in layout.places.items() if place >= layout.width - len(layout.missing)]
        for place, (name, heading) in enumerate(
            zip(names, layout.missing, strict=True), start=layout.width - len(layout.missing) + 1
        ):
            sheet.cell(1, place, heading).font = Font(bold=True)
            width = WIDTHS.get(name, max(NARROWEST, len(heading) + 4))
            sheet.column_dimensions[get_column_letter(place)].width = width

    def _fill(self, sheet: Worksheet, number: int, line: Sequence[Value]) -> None:
        for place, value in enumerate(line, start=1):
            if value is not None:
                self._write(sheet.cell(number, place), value)

    def _write(self, cell: Cell | Any, value: Value) -> None:
        cell.value = value
        if isinstance(value, str):
            # Text, whatever it begins with; and still text when somebody edits the cell.
            cell.data_type = "s"
            cell.quotePrefix = value[:1] in "=+-@"
        else:
            cell.number_format = _format(value, self._locale)


def _format(value: Value, locale: Locale) -> str:
    if isinstance(value, timedelta):
        return "[h]:mm:ss"
    return DAYS[locale] if isinstance(value, date) else "hh:mm:ss" if isinstance(value, time) else "General"


def _prepare(sheet: Worksheet, last: int, width: int) -> None:
    """A new sheet: its header stays in sight and filters."""
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = f"A1:{get_column_letter(width)}{last}"


def _calls(sheet: Worksheet, layout: Layout) -> tuple[int, Rows]:
    """The last row in which anything of ours stands, and the calls that have their row. People's own columns may
    reach further down, with formulas that wait for calls."""
    last, known = 1, Rows()
    for number, cells in _rows(sheet, layout.width):
        if any(cells[place] is not None for place in layout.places.values()):
            last = number
        if (key := layout.key(cells)) is not None:
            known.add(key, layout.traits(cells))
    return last, known


def _rows(sheet: Worksheet, width: int) -> Iterator[tuple[int, Sequence[object]]]:
    return enumerate(sheet.iter_rows(min_row=2, max_col=width, values_only=True), start=2)


def _stretch(sheet: Worksheet, before: int, last: int) -> None:
    """Let the filter and the tables that ended with the last row take in the new ones; a table whose last row is one of
    totals stays."""
    tables = [table for table in sheet.tables.values() if not table.totalsRowCount]
    for filtered in (sheet.auto_filter, *tables):
        filtered.ref = _longer(filtered.ref, before, last)
    for table in tables:
        if table.autoFilter is not None:
            table.autoFilter.ref = _longer(table.autoFilter.ref, before, last)


def _longer(area: str | None, before: int, last: int) -> str | None:
    ends_there = area is not None and re.fullmatch(rf"(.*[A-Z]){before}", area)
    return f"{ends_there[1]}{last}" if ends_there else area


def _refuse_if_open(path: Path) -> None:
    """Raise `TemporaryFailure` while Excel or LibreOffice has the workbook open: each leaves a file beside it."""
    for name in (f"~${path.name}", f".~lock.{path.name}#"):
        if path.with_name(name).exists():
            raise TemporaryFailure(
                f"{path} is open in another program: close it there (if it is not, delete {name} beside it)"
            )
