"""An Excel workbook: real dates, people's own work beside ours, and Excel that has it open."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import openpyxl
import PIL.Image
import pytest
from openpyxl.drawing.image import Image
from openpyxl.styles import Font
from openpyxl.worksheet.filters import AutoFilter
from openpyxl.worksheet.table import Table
from openpyxl.worksheet.worksheet import Worksheet

from bridge import Delivery, Misconfigured, TemporaryFailure

Ended = Callable[..., Delivery]
Connect = Callable[..., Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.xlsx"


@pytest.fixture
def log(connect: Connect, path: Path) -> Any:
    """A connector with the columns a test can see at a glance."""
    return connect(target="xlsx", path=str(path), columns=["date", "time", "number", "waited", "call_id"])


def sheet(path: Path, name: str | None = None) -> Worksheet:
    book = openpyxl.load_workbook(path)
    found = book[name] if name else book.worksheets[0]
    assert isinstance(found, Worksheet)
    return found


def values(path: Path) -> list[list[object]]:
    return [list(row) for row in sheet(path).iter_rows(values_only=True)]


def test_a_new_workbook_has_a_frozen_header_a_filter_real_dates_and_durations(
    log: Any, ended: Ended, path: Path
) -> None:
    log.add(ended("c-1", wait_seconds=90_000), ended("c-2"))
    calls = sheet(path)

    assert values(path) == [
        ["Date", "Time", "Number", "Waited", "Call id"],
        [datetime(2026, 11, 24), time(14, 5, 7), "(0212) 320 50 62", timedelta(hours=25), "c-1"],  # noqa: DTZ001  # Excel's
        [datetime(2026, 11, 24), time(14, 5, 7), "(0212) 320 50 62", timedelta(seconds=20), "c-2"],  # noqa: DTZ001
    ]
    assert [cell.number_format for cell in calls[2]] == ["yyyy-mm-dd", "hh:mm:ss", "General", "[h]:mm:ss", "General"]
    assert (calls.title, calls.freeze_panes, calls.auto_filter.ref) == ("Calls", "A2", "A1:E3")
    assert calls["A1"].font.bold


def test_a_workbook_in_turkish_speaks_turkish(connect: Connect, ended: Ended, path: Path) -> None:
    connect("tr", target="xlsx", path=str(path)).add(ended("c-1"))
    calls = sheet(path)

    assert (calls.title, calls["A1"].value, calls["P1"].value) == ("Çağrılar", "Tarih", "Çağrı no")
    assert calls["A2"].number_format == "dd.mm.yyyy"


def test_a_repeat_makes_no_second_row_and_does_not_even_write(log: Any, ended: Ended, path: Path) -> None:
    log.add(ended("c-1"), ended("c-1"))
    before = path.stat()
    log.add(ended("c-1"))

    assert path.stat() == before
    assert len(values(path)) == 2


def test_what_waits_is_written_by_one_rewrite(
    log: Any, ended: Ended, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[object] = []
    save = openpyxl.Workbook.save
    monkeypatch.setattr(openpyxl.Workbook, "save", lambda book, file: (saved.append(file), save(book, file)))
    log.add(*(ended(f"c-{number}") for number in range(200)))

    assert len(values(path)) == 201
    assert len(saved) == 1


def test_people_s_columns_formulas_sheets_and_formats_are_untouched(log: Any, ended: Ended, path: Path) -> None:
    book = openpyxl.Workbook()
    mine = book.worksheets[0]
    mine.append(["Çağrı no", "Arandı mı", "Number", "Toplam"])
    mine.append(["x-1", "evet", "123", "=SUM(A1:A9)"])
    mine["B2"].font = Font(italic=True)
    for number in range(3, 8):
        mine.cell(number, 4, f"=LEN(C{number})")
    mine.column_dimensions["B"].width = 33
    mine.freeze_panes = "B2"
    book.create_sheet("Notlar")["A1"] = "=1+1"
    book.save(path)
    log.add(ended("c-1"), ended("x-1"))

    found = values(path)
    assert found[0] == ["Çağrı no", "Arandı mı", "Number", "Toplam", "Date", "Time", "Waited"]
    assert found[1] == ["x-1", "evet", "123", "=SUM(A1:A9)", None, None, None]
    assert found[2][:4] == ["c-1", None, "(0212) 320 50 62", "=LEN(C3)"]
    assert [row[3] for row in found[3:]] == [f"=LEN(C{number})" for number in range(4, 8)]
    calls = sheet(path)
    assert (calls["B2"].font.italic, calls.column_dimensions["B"].width, calls.freeze_panes) == (True, 33, "B2")
    assert calls.auto_filter.ref is None
    assert sheet(path, "Notlar")["A1"].value == "=1+1"


def test_a_row_is_found_again_after_people_have_sorted(log: Any, ended: Ended, path: Path) -> None:
    log.add(*(ended(f"c-{number}") for number in range(5)))
    book = openpyxl.load_workbook(path)
    calls = book.worksheets[0]
    lines = [[cell.value for cell in row] for row in calls.iter_rows(min_row=2)][::-1]
    for number, line in enumerate(lines, 2):
        for place, value in enumerate(line, 1):
            calls.cell(number, place, value)
    book.save(path)
    log.add(ended("c-0"), ended("c-9"))

    assert [row[4] for row in values(path)] == ["Call id", "c-4", "c-3", "c-2", "c-1", "c-0", "c-9"]


def test_a_table_that_ended_with_the_last_call_takes_in_the_new_ones(log: Any, ended: Ended, path: Path) -> None:
    log.add(ended("c-1"))
    book = openpyxl.load_workbook(path)
    book.worksheets[0].auto_filter.ref = None
    book.worksheets[0].add_table(Table(displayName="Log", ref="A1:E2"))
    book.save(path)
    log.add(ended("c-2"), ended("c-3"))

    assert sheet(path).tables["Log"].ref == "A1:E4"


def test_a_table_with_a_row_of_totals_stays_as_it_is(log: Any, ended: Ended, path: Path) -> None:
    log.add(ended("c-1"))
    book = openpyxl.load_workbook(path)
    book.worksheets[0].auto_filter.ref = None
    book.worksheets[0].append(["Total", None, None, None, None])
    book.worksheets[0].add_table(
        Table(displayName="Log", ref="A1:E3", totalsRowCount=1, autoFilter=AutoFilter("A1:E2"))
    )
    book.save(path)
    log.add(ended("c-2"))

    table = sheet(path).tables["Log"]
    assert (table.ref, table.autoFilter.ref) == ("A1:E3", "A1:E2")
    assert [row[0] for row in values(path)][2] == "Total"
    assert values(path)[3][4] == "c-2"


def test_the_named_worksheet_is_written_and_made_if_need_be(connect: Connect, ended: Ended, path: Path) -> None:
    openpyxl.Workbook().save(path)
    connect(target="xlsx", path=str(path), worksheet="Log").add(ended("c-1"))

    assert sheet(path)["A1"].value is None
    assert sheet(path, "Log")["P2"].value == "c-1"
    assert sheet(path, "Log").auto_filter.ref == "A1:P2"


def test_a_worksheet_is_the_same_one_in_capitals_as_in_excel(connect: Connect, ended: Ended, path: Path) -> None:
    connect(target="xlsx", path=str(path), worksheet="LOG").add(ended("c-1"))
    connect(target="xlsx", path=str(path), worksheet="Log").add(ended("c-1"), ended("c-2"))

    assert openpyxl.load_workbook(path).sheetnames == ["LOG"]
    assert [row[-1] for row in values(path)] == ["Call id", "c-1", "c-2"]


def test_a_call_is_written_into_the_workbook_of_its_month(connect: Connect, ended: Ended, tmp_path: Path) -> None:
    connect(target="xlsx", path=str(tmp_path / "calls-{year}-{month}.xlsx")).add(ended("c-1"))

    assert len(values(tmp_path / "calls-2026-11.xlsx")) == 2


# --- what goes wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["~$calls.xlsx", ".~lock.calls.xlsx#"], ids=["Excel", "LibreOffice"])
def test_a_workbook_that_is_open_in_another_program_is_written_later(
    log: Any, ended: Ended, path: Path, mark: str
) -> None:
    log.add(ended("c-1"))
    (path.parent / mark).touch()
    failure = log.fail(ended("c-2"), ended("c-3"))
    (path.parent / mark).unlink()
    log.add(ended("c-2"), ended("c-3"))

    assert isinstance(failure, TemporaryFailure)
    assert "is open in another program" in str(failure)
    assert [row[4] for row in values(path)][1:] == ["c-1", "c-2", "c-3"]


def test_a_workbook_that_the_system_locks_is_written_later(
    log: Any, ended: Ended, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.add(ended("c-1"))
    with monkeypatch.context() as refused:
        refused.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
        failure = log.fail(ended("c-2"))

    assert isinstance(failure, TemporaryFailure)
    assert len(values(path)) == 2
    assert sorted(file.name for file in path.parent.iterdir()) == [".calls.xlsx.lock", "calls.xlsx"]


def test_what_people_save_while_it_is_rewritten_is_kept(
    log: Any, ended: Ended, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.add(ended("c-1"))
    save = openpyxl.Workbook.save

    def save_after_somebody_else(book: openpyxl.Workbook, file: Any) -> None:
        save(book, file)
        mine = openpyxl.load_workbook(path)
        mine.worksheets[0]["G1"] = "Mine"
        save(mine, path)

    with monkeypatch.context() as busy:
        busy.setattr(openpyxl.Workbook, "save", save_after_somebody_else)
        failure = log.fail(ended("c-2"))
    log.add(ended("c-2"))

    assert isinstance(failure, TemporaryFailure)
    assert (sheet(path)["G1"].value, sheet(path)["E3"].value) == ("Mine", "c-2")


@pytest.mark.parametrize("content", [b"Tarih;Saat\n", b"PK\x03\x04broken", b""])
def test_a_file_that_is_no_workbook_is_left_alone(log: Any, ended: Ended, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    failure = log.fail(ended())

    assert isinstance(failure, Misconfigured)
    assert "no workbook" in str(failure)
    assert path.read_bytes() == content


def test_a_sheet_with_another_table_is_left_alone(log: Any, ended: Ended, path: Path) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].append(["Price", "Amount"])
    book.save(path)

    assert isinstance(log.fail(ended()), Misconfigured)
    assert values(path) == [["Price", "Amount"]]


def test_the_check_writes_nothing(log: Any, ended: Ended, path: Path) -> None:
    assert log.connector.bridge_check().endswith("will be made with the first row")
    assert not path.exists()
    log.add(ended("c-1"))
    assert log.connector.bridge_check() == f'{path} has 1 calls in "Calls"'


def test_a_filter_grows_with_the_calls_and_one_that_people_set_elsewhere_stays(
    log: Any, ended: Ended, path: Path
) -> None:
    log.add(ended("c-1"))
    log.add(ended("c-2"))
    grown = sheet(path).auto_filter.ref
    book = openpyxl.load_workbook(path)
    book.worksheets[0].auto_filter.ref = "B1:C2"
    book.save(path)
    log.add(ended("c-3"))

    assert (grown, sheet(path).auto_filter.ref) == ("A1:E3", "B1:C2")


# --- what people have made beside ---------------------------------------------------------------------------------


def test_a_picture_stays_and_formulas_are_worked_out_anew_when_the_workbook_is_opened(
    log: Any, ended: Ended, path: Path
) -> None:
    log.add(ended("c-1"))
    book = openpyxl.load_workbook(path)
    other = book.create_sheet("Ours")
    other["A1"] = "=1+1"
    picture = io.BytesIO()
    PIL.Image.new("RGB", (8, 8), "red").save(picture, "png")
    other.add_image(Image(picture), "B2")
    book.calculation.fullCalcOnLoad = None
    book.save(path)
    log.add(ended("c-2"))
    written = openpyxl.load_workbook(path)

    assert (len(written["Ours"]._images), written["Ours"]["A1"].value) == (1, "=1+1")
    assert written.calculation.fullCalcOnLoad


@pytest.mark.parametrize(
    ("part", "content", "kind"),
    [
        ("xl/slicers/slicer1.xml", "<slicers/>", "slicers"),
        ("xl/drawings/drawing9.xml", "<xdr:wsDr><xdr:sp macro=''/></xdr:wsDr>", "shapes"),
        ("xl/media/image9.emf", "", "pictures"),
    ],
)
def test_what_would_be_lost_is_told_and_the_workbook_stays_as_it_is(
    log: Any, ended: Ended, path: Path, part: str, content: str, kind: str
) -> None:
    log.add(ended("c-1"))
    with ZipFile(path, "a") as parts:
        parts.writestr(part, content)
    before = path.read_bytes()
    failure = log.fail(ended("c-2"))

    assert isinstance(failure, Misconfigured)
    assert f"has {kind} that would be lost" in str(failure)
    assert path.read_bytes() == before


def test_calls_of_two_pbxes_with_one_id_have_a_row_each(log: Any, ended: Ended, path: Path) -> None:
    for tenant in ("101", "102", "101", "102"):
        log.add(ended("1", tenant=tenant))

    assert len(values(path)) == 3
