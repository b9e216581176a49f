"""kill -9 in the middle of writing: the file is whole, and every call has one row in the end."""

from __future__ import annotations

import csv
import io
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import openpyxl
import pytest

from bridge import Delivery

Ended = Callable[..., Delivery]
Connect = Callable[..., Any]

WRITER = dedent("""
    import logging, os, signal, sys
    from callbridge_spreadsheet.connector import Spreadsheet
    from callbridge_spreadsheet.settings import SpreadsheetSettings
    from bridge import ConnectorContext, Delivery, Event, HttpClient

    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    def die_half_way_in(number):
        real, count = os.write, 0
        def write(descriptor, data):
            nonlocal count
            count += 1
            if count != number:
                return real(descriptor, data)
            real(descriptor, data[: len(data) // 2])
            die()
        os.write = write

    settings, event, *prepare = sys.argv[1:]
    http, log = HttpClient(timeout=5.0), logging.getLogger()
    context = ConnectorContext(name="log", locale="en", timeout=5.0, http=http, log=log)
    connector = Spreadsheet(SpreadsheetSettings.model_validate_json(settings), context)
    event = Event.from_json(event)
    def deliver(call_id):
        data = event.data.model_copy(update={"call": event.data.call.model_copy(update={"id": call_id})})
        connector.bridge_deliver([Delivery("d", "log", "", 1, event.model_copy(update={"data": data}))])
    deliver("before")
    for line in prepare:
        exec(line)
    for number in range(100_000):
        deliver(f"c-{number}")
        print(number, flush=True)
""")


@pytest.fixture
def write_until_killed(ended: Ended) -> Callable[..., int]:
    """Run a writer that kills itself, or is killed after it has written `rows`; returns how many rows it confirmed."""

    def run(settings: str, *prepare: str, rows: int = 1_000_000) -> int:
        command = [sys.executable, "-c", WRITER, settings, ended("x").event.to_json(), *prepare]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            confirmed = 0
            for _ in writer.stdout:
                confirmed += 1
                if confirmed == rows:
                    writer.kill()  # what it has confirmed by then is still to be read
        assert writer.returncode == -signal.SIGKILL
        return confirmed

    return run


def ids(path: Path) -> list[str]:
    rows = list(csv.reader(io.StringIO(path.read_text("utf-8-sig"), newline="")))
    assert {len(row) for row in rows} == {16}
    return [row[-1] for row in rows[1:]]


@pytest.mark.parametrize(
    "when",
    ["die_half_way_in(1)", "die_half_way_in(2)", "os.fsync = die"],
    ids=["in the journal", "in the row", "before it is on disk"],
)
def test_a_csv_writer_that_is_killed_leaves_a_whole_file_for_the_next(
    connect: Connect, ended: Ended, tmp_path: Path, write_until_killed: Callable[..., int], when: str
) -> None:
    path = tmp_path / "calls.csv"
    confirmed = write_until_killed(f'{{"path": "{path}"}}', when)
    connect(path=str(path)).add(ended("c-0"), ended("after"))

    assert confirmed == 0
    assert ids(path) == ["before", "c-0", "after"]


def test_people_who_mended_the_half_row_themselves_are_not_overruled(
    connect: Connect, ended: Ended, tmp_path: Path, write_until_killed: Callable[..., int]
) -> None:
    path = tmp_path / "calls.csv"
    write_until_killed(f'{{"path": "{path}"}}', "die_half_way_in(2)")
    whole = path.read_bytes()[: path.read_bytes().rindex(b"\n") + 1]
    assert whole != path.read_bytes()
    path.write_bytes(whole[:-4] + b"-mine\r\n")
    connect(path=str(path)).add(ended("after"))

    assert ids(path)[1:] == ["after"]


@pytest.mark.parametrize("rows", [1, 30, 77])
def test_a_csv_writer_that_is_killed_from_outside_loses_and_doubles_nothing(
    connect: Connect, ended: Ended, tmp_path: Path, write_until_killed: Callable[..., int], rows: int
) -> None:
    path = tmp_path / "calls.csv"
    confirmed = write_until_killed(f'{{"path": "{path}"}}', rows=rows)
    connect(path=str(path)).add(*(ended(f"c-{number}") for number in range(confirmed + 3)))

    assert sorted(ids(path)) == sorted(["before", *(f"c-{number}" for number in range(confirmed + 3))])


@pytest.mark.parametrize(
    "when",
    ["os.fsync = die", "from pathlib import Path; Path.replace = die", "import shutil; shutil.copymode = die"],
    ids=["while it is written beside", "before it takes the place", "before it has its permissions"],
)
def test_a_workbook_is_whole_whenever_its_writer_is_killed(
    connect: Connect, ended: Ended, tmp_path: Path, write_until_killed: Callable[..., int], when: str
) -> None:
    path = tmp_path / "calls.xlsx"
    write_until_killed(f'{{"target": "xlsx", "path": "{path}"}}', when)
    assert [cell.value for cell in openpyxl.load_workbook(path).worksheets[0]["P"]] == ["Call id", "before"]
    connect(target="xlsx", path=str(path)).add(ended("c-0"))

    assert [cell.value for cell in openpyxl.load_workbook(path).worksheets[0]["P"]] == ["Call id", "before", "c-0"]
    assert sorted(file.name for file in tmp_path.iterdir()) == [".calls.xlsx.lock", "calls.xlsx"]
