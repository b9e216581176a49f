"""The spreadsheet connector does what the core relies on, with files; with Google see test_spreadsheet_google.py."""

from __future__ import annotations

import csv
import fcntl
import shutil
from collections.abc import Iterator, Mapping
from typing import ClassVar, TextIO

import callbridge_spreadsheet
import openpyxl
import pytest

from bridge import DeliveryFailure, Event, Misconfigured, TemporaryFailure
from bridge.testing import ConnectorContract, Place


class FileContract(ConnectorContract):
    """A file speaks no HTTP: it can be gone, somebody else's, broken, or locked."""

    (kind,) = callbridge_spreadsheet.bridge_connectors()
    failures: ClassVar[Mapping[str, type[DeliveryFailure]]] = {
        "the folder is gone": Misconfigured,
        "a folder is in its place": Misconfigured,
        "it is something else": Misconfigured,
    }
    delays = ("another bridge writes to it",)
    file: str

    def settings(self, place: Place) -> dict[str, object]:
        return {"target": self.file.rpartition(".")[2], "path": str(place.folder / "office" / self.file), "every": "0"}

    def prepare(self, place: Place) -> None:
        (place.folder / "office").mkdir()

    def bring_about(self, what: str, place: Place) -> None:
        file = place.folder / "office" / self.file
        match what:
            case "the folder is gone":
                shutil.rmtree(file.parent)
            case "a folder is in its place":
                file.mkdir()
            case "it is something else":
                file.write_bytes(b"\xff\xfe dear diary")
            case "somebody has it open":
                file.with_name(f"~${file.name}").touch()
            case "another bridge writes to it":
                lock = file.with_name(f".{file.name}.lock").open("w")
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._locks.append(lock)

    @pytest.fixture(autouse=True)
    def _let_go(self) -> Iterator[None]:
        self._locks: list[TextIO] = []
        yield
        for lock in self._locks:
            lock.close()


class TestCsv(FileContract):
    file = "calls.csv"

    def copies(self, event: Event, place: Place) -> int:
        with (place.folder / "office" / self.file).open(encoding="utf-8-sig", newline="") as file:
            return len(list(csv.reader(file))) - 1


class TestXlsx(FileContract):
    file = "calls.xlsx"
    failures = FileContract.failures | {"somebody has it open": TemporaryFailure}

    def copies(self, event: Event, place: Place) -> int:
        return openpyxl.load_workbook(place.folder / "office" / self.file).worksheets[0].max_row - 1
