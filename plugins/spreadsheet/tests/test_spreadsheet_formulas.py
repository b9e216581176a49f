"""Whatever a caller controls never becomes a formula, and numbers stay readable."""

from __future__ import annotations

import csv
import io
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

import openpyxl
import pytest
from callbridge_spreadsheet.columns import Row, _clean
from callbridge_spreadsheet.harmless import csv_text
from callbridge_spreadsheet.workbook import Workbook
from hypothesis import given, settings
from hypothesis import strategies as st

AT = datetime(2026, 11, 24, tzinfo=UTC)
BEGINNINGS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
EVIL = st.lists(
    st.sampled_from([*BEGINNINGS, "cmd|' /C calc'!A0", "HYPERLINK(", '"', "'", ",", ";", "|", " ", "1", "x", "ş"]),
    max_size=12,
).map("".join) | st.text(max_size=30)


@given(st.lists(EVIL, min_size=1, max_size=4), st.sampled_from(";,\t"))
@settings(max_examples=600, deadline=None)
def test_no_cell_of_a_csv_begins_a_formula_by_whatever_delimiter_it_is_read(texts: list[str], delimiter: str) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=delimiter).writerow([csv_text(_clean(text)) for text in texts])

    for other in ";,\t|":
        for cells in csv.reader(io.StringIO(written.getvalue(), newline=""), delimiter=other):
            assert [cell for cell in cells if _begins_a_formula(cell, delimiter)] == []


def _begins_a_formula(cell: str, delimiter: str) -> bool:
    """Whether it does, and no apostrophe stands before it. Blanks and quotes are let pass, as some programs do; so are
    the file's own tabs and line ends, where it is read by something else."""
    bare = cell.lstrip(" \"'\r\n" + delimiter.strip(",;"))
    return bare.startswith(BEGINNINGS) and "'" not in cell[: len(cell) - len(bare)]


@given(EVIL)
def test_no_tab_and_no_line_end_is_left_of_a_text(text: str) -> None:
    assert not {"\t", "\r", "\n"} & {*csv_text(_clean(text))}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("+90 212 320 50 62", "'+90 212 320 50 62"),
        ("(0212) 320 50 62", "(0212) 320 50 62"),
        ("0532 123 45 67", "0532 123 45 67"),
        ("=1+1", "'=1+1"),
        ("a,=1+1", "a,'=1+1"),
        ("Ahmet - Mehmet", "Ahmet - Mehmet"),
        ("a+b@example.com", "a+b@example.com"),
    ],
)
def test_what_is_marked_stays_readable(text: str, shown: str) -> None:
    assert csv_text(text) == shown


@given(st.lists(EVIL, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_every_text_in_a_workbook_is_text_and_as_it_came(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "calls.xlsx"))
        book = Workbook(path, None, ["name", "call_id"], "en", 5.0)
        cleaned = [_clean(text) for text in texts]
        book.add(path, [Row(AT, {"name": name, "call_id": f"c-{number}"}) for number, name in enumerate(cleaned)])
        sheet = openpyxl.load_workbook(path).worksheets[0]

        assert [sheet.cell(number + 2, 1).value for number in range(len(texts))] == cleaned
        assert {cell.data_type for line in sheet.iter_rows() for cell in line} <= {"s", "n"}
        assert b"<f>" not in ZipFile(path).read("xl/worksheets/sheet1.xml")


@pytest.mark.parametrize("text", ["+905321234567", "=1+1", "#N/A", "-7"])
def test_a_text_stays_one_when_somebody_edits_the_cell_or_the_book_is_written_again(tmp_path: Path, text: str) -> None:
    path = str(tmp_path / "calls.xlsx")
    book = Workbook(path, None, ["number", "call_id"], "en", 5.0)
    for call_id in ("c-1", "c-2", "c-3"):
        book.add(path, [Row(AT, {"number": text, "call_id": call_id})])
    sheet = openpyxl.load_workbook(path).worksheets[0]

    assert [(cell.value, cell.data_type) for cell in sheet["A"][1:]] == [(text, "s")] * 3
    assert [cell.quotePrefix for cell in sheet["A"][1:]] == [text != "#N/A"] * 3
