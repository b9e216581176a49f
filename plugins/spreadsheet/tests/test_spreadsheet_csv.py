"""A CSV file: what stands in it, what is kept, and that no row comes twice."""

from __future__ import annotations

import csv
import fcntl
import io
import os
import stat
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from bridge import Delivery, Misconfigured, Receipt, Skip, TemporaryFailure
from bridge.testing import sample_event

Ended = Callable[..., Delivery]
Connect = Callable[..., Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.csv"


def rows(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    text = path.read_text("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))


# --- a new file ---------------------------------------------------------------------------------------------------


def test_a_new_file_shows_turkish_letters_in_a_turkish_excel(connect: Connect, ended: Ended, path: Path) -> None:
    connect("tr", path=str(path)).add(ended("c-1", cause_text="Meşgul"))

    assert path.read_bytes().startswith(b"\xef\xbb\xbfTarih;Saat;Y\xc3\xb6n;")
    assert path.read_bytes().count(b"\r\n") == path.read_bytes().count(b"\n") == 2
    (call,) = rows(path, ";")
    assert call["Tarih"] == "2026-11-24"
    assert (call["Saat"], call["Bekleme"], call["Sebep"], call["Çağrı no"]) == ("14:05:07", "0:00:20", "Meşgul", "c-1")


def test_a_new_file_has_the_columns_of_the_config_in_their_order(connect: Connect, ended: Ended, path: Path) -> None:
    connect(path=str(path), columns=["number", "result", "call_id"]).add(ended("c-1"), ended("c-2"))

    assert path.read_text("utf-8-sig").splitlines() == [
        "Number,Result,Call id",
        "(0212) 320 50 62,Missed,c-1",
        "(0212) 320 50 62,Missed,c-2",
    ]


def test_a_column_to_find_a_row_again_is_added_where_there_is_none(connect: Connect, ended: Ended, path: Path) -> None:
    log = connect(path=str(path), columns=["date"])
    log.add(ended("c-1"))
    log.add(ended("c-1"))

    assert rows(path) == [{"Date": "2026-11-24", "Call id": "c-1"}]


def test_a_call_is_written_into_the_month_in_which_it_began_at_the_pbx(
    connect: Connect, ended: Ended, tmp_path: Path
) -> None:
    istanbul = timezone(timedelta(hours=3))
    log = connect(path=str(tmp_path / "{year}" / "calls-{year}-{month}.csv"))
    first = ended("c-1", started_at=datetime(2026, 11, 30, 23, 59, 59, tzinfo=istanbul))
    second = ended("c-2", started_at=datetime(2027, 1, 1, 0, 0, tzinfo=istanbul))
    outcomes = log.add(first, second)

    assert rows(tmp_path / "2026" / "calls-2026-11.csv")[0]["Call id"] == "c-1"
    assert rows(tmp_path / "2027" / "calls-2027-01.csv")[0]["Call id"] == "c-2"
    assert outcomes[1] == Receipt(text=str(tmp_path / "2027" / "calls-2027-01.csv"))


# --- once ---------------------------------------------------------------------------------------------------------


def test_a_repeated_delivery_makes_no_second_row(connect: Connect, ended: Ended, path: Path) -> None:
    log = connect(path=str(path))
    log.add(ended("c-1"), ended("c-1"), ended("c-2"))
    log.add(ended("c-2"))
    connect(path=str(path)).add(ended("c-1"), ended("c-3"))

    assert [row["Call id"] for row in rows(path)] == ["c-1", "c-2", "c-3"]


def test_an_id_that_is_a_part_of_other_text_is_not_taken_for_a_row(connect: Connect, ended: Ended, path: Path) -> None:
    connect(path=str(path)).add(ended("c-12"))
    connect(path=str(path)).add(ended("c-1"), ended("2026-11-24"))

    assert len(rows(path)) == 3


@pytest.mark.parametrize("call_id", ['a "b", c', "=1+1", "ç;ğ", "-7"])
def test_an_id_that_is_written_differently_is_found_again(
    connect: Connect, ended: Ended, path: Path, call_id: str
) -> None:
    for _ in range(2):
        connect("tr", path=str(path)).add(ended(call_id))

    assert len(rows(path, ";")) == 1


def test_calls_of_several_pbxes_are_told_apart_by_more_columns(connect: Connect, ended: Ended, path: Path) -> None:
    for _ in range(2):
        connect(path=str(path), columns=["tenant", "call_id"]).add(
            ended("1", tenant="101"), ended("1", tenant="102"), ended("1", tenant="102")
        )

    assert [row["PBX id"] for row in rows(path)] == ["101", "102"]


def test_calls_of_two_pbxes_with_one_id_have_a_row_each_and_a_repeat_of_either_has_none(
    connect: Connect, ended: Ended, path: Path
) -> None:
    log = connect(path=str(path))
    for tenant in ("101", "102", "101", "102", "103"):
        log.add(ended("1", tenant=tenant))
    assert len(rows(path)) == 3
    for tenant in ("101", "102", "103"):
        connect(path=str(path)).add(ended("1", tenant=tenant))
    assert len(rows(path)) == 3

    log.add(ended("2", tenant="101"), ended("2", tenant="102"), ended("2", tenant="102"))
    assert [row["Call id"] for row in rows(path)] == ["1", "1", "1", "2", "2"]
    assert log.connector._sheet.check(str(path)) == f"{path} has 5 calls"


def test_after_a_start_a_row_that_began_at_another_time_is_another_calls(
    connect: Connect, ended: Ended, path: Path
) -> None:
    connect(path=str(path)).add(ended("1"))
    later = datetime(2026, 11, 24, 14, 6, 9, tzinfo=timezone(timedelta(hours=3)))
    for _ in range(2):
        connect(path=str(path)).add(ended("1", tenant="102", started_at=later))

    assert [row["Time"] for row in rows(path)] == ["14:05:07", "14:06:09"]


@pytest.mark.parametrize("cells", ["24.11.2026,14:05:07", "11/24/26,2:05:07 PM", "24 Nov,afternoon", ","])
def test_a_date_that_a_program_has_written_in_its_own_way_makes_no_other_call(
    connect: Connect, ended: Ended, path: Path, cells: str
) -> None:
    connect(path=str(path)).add(ended("1"))
    path.write_text(path.read_text("utf-8").replace("2026-11-24,14:05:07", cells), "utf-8")
    connect(path=str(path)).add(ended("1"))

    assert len(rows(path)) == 1


def test_only_the_end_of_a_call_makes_a_row(connect: Connect, ended: Ended, path: Path) -> None:
    ringing = Delivery("dlv", "call_log", "", 1, sample_event("call.ringing"))
    outcomes = connect(path=str(path)).connector.bridge_deliver([ringing, ended("c-1"), ringing])

    assert outcomes == [Skip("no call has ended"), Receipt(text=str(path)), Skip("no call has ended")]
    assert len(rows(path)) == 1


# --- what people have made of it ----------------------------------------------------------------------------------


def test_a_file_with_other_and_reordered_columns_keeps_them(connect: Connect, ended: Ended, path: Path) -> None:
    header = "Not alanı,call id,Arandı mı,RESULT,Numara\n"
    old = 'çok "önemli" \'müşteri\',x-1,"evet,\nhayır",Missed,123\n'
    path.write_text(header + old, "utf-8")
    connect(path=str(path), columns=["date", "number", "result", "call_id"]).add(ended("c-1"), ended("x-1"))

    text = path.read_bytes().decode("utf-8-sig")
    assert text.startswith(header.strip() + ",Date\n" + old)
    assert text.removeprefix(header.strip() + ",Date\n" + old) == ",c-1,,Missed,(0212) 320 50 62,2026-11-24\n"


@pytest.mark.parametrize(("delimiter", "locale"), [(",", "tr"), (";", "en"), ("\t", "tr")])
def test_a_file_keeps_its_delimiter_line_ends_and_permissions(
    connect: Connect, ended: Ended, path: Path, delimiter: str, locale: str
) -> None:
    path.write_bytes(f"Date{delimiter}Call id\n".encode())
    path.chmod(0o664)
    log = connect(locale, path=str(path), columns=["date", "call_id", "result"])
    log.add(ended("c-1"))
    log.add(ended("c-2"))

    lines = path.read_bytes().decode("utf-8-sig").split("\n")
    assert [len(line.split(delimiter)) for line in lines] == [3, 3, 3, 1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o664


def test_a_last_line_without_an_end_gets_one(connect: Connect, ended: Ended, path: Path) -> None:
    path.write_text("Date,Call id\n2026-01-01,x-1", "utf-8")
    connect(path=str(path), columns=["date", "call_id"]).add(ended("c-1"))

    assert path.read_text("utf-8") == "Date,Call id\n2026-01-01,x-1\n2026-11-24,c-1\n"


def test_what_people_change_while_the_bridge_runs_is_kept(connect: Connect, ended: Ended, path: Path) -> None:
    log = connect(path=str(path), columns=["date", "call_id"])
    log.add(ended("c-1"))
    path.write_text("Call id,Mine,Date\nx-9,hello,\n", "utf-8")
    log.add(ended("x-9"), ended("c-1"))

    assert path.read_text("utf-8") == "Call id,Mine,Date\nx-9,hello,\nc-1,,2026-11-24\n"


def test_an_empty_file_becomes_a_log(connect: Connect, ended: Ended, path: Path) -> None:
    path.touch()
    connect(path=str(path)).add(ended("c-1"))

    assert len(rows(path)) == 1


def test_the_file_behind_a_link_is_written_and_the_link_stays(connect: Connect, ended: Ended, tmp_path: Path) -> None:
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "real.csv")
    connect(path=str(link)).add(ended("c-1"))

    assert link.is_symlink()
    assert len(rows(tmp_path / "real.csv")) == 1


# --- what goes wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"Price,Amount\n1,2\n", "has another table"),
        ("Tarih;Çağrı no\n".encode("cp1254"), "CSV UTF-8"),
        (b'Date,Call id\n"' + b"x" * 200_000, "no CSV"),
    ],
)
def test_a_file_that_is_something_else_is_left_alone(
    connect: Connect, ended: Ended, path: Path, content: bytes, reason: str
) -> None:
    path.write_bytes(content)
    failure = connect(path=str(path)).fail(ended("xxx"), ended("xxxx"))

    assert isinstance(failure, Misconfigured)
    assert reason in str(failure)
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["missing/calls.csv", "missing/{year}/calls.csv"])
def test_a_folder_that_is_not_there_is_named(connect: Connect, ended: Ended, tmp_path: Path, name: str) -> None:
    failure = connect(path=str(tmp_path / name)).fail(ended())

    assert isinstance(failure, Misconfigured)
    assert f"no folder {tmp_path / 'missing'}" in str(failure)


def test_a_path_that_is_a_folder_is_named(connect: Connect, ended: Ended, tmp_path: Path) -> None:
    assert isinstance(connect(path=str(tmp_path)).fail(ended()), Misconfigured)


def test_a_file_that_may_not_be_written_now_is_tried_again(
    connect: Connect, ended: Ended, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = connect(path=str(path))
    log.add(ended("c-1"))
    system_open = os.open

    def refuse(name: object, *arguments: int) -> int:
        if name == path:
            raise PermissionError(13, "Permission denied")
        return system_open(str(name), *arguments)

    with monkeypatch.context() as refused:
        refused.setattr(os, "open", refuse)
        failure = log.fail(ended("c-2"))
    log.add(ended("c-2"))

    assert isinstance(failure, TemporaryFailure)
    assert "close it where it is open" in str(failure)
    assert [row["Call id"] for row in rows(path)] == ["c-1", "c-2"]


def test_a_full_disk_leaves_no_half_row(
    connect: Connect, ended: Ended, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = connect(path=str(path))
    log.add(ended("c-1"))
    before = path.read_bytes()
    write = os.write
    calls: list[int] = []

    def fill_up(descriptor: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return write(descriptor, data if len(calls) == 1 else data[: len(data) // 2])

    with monkeypatch.context() as full:
        full.setattr(os, "write", fill_up)
        failure = log.fail(ended("c-2"))

    assert "No space left" in str(failure)
    assert path.read_bytes() == before
    log.add(ended("c-2"))
    assert len(rows(path)) == 2


def test_somebody_who_writes_at_the_same_moment_loses_nothing(
    connect: Connect, ended: Ended, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = connect(path=str(path), columns=["call_id"])
    log.add(ended("c-1"))
    write = os.write

    def write_and_be_overtaken(descriptor: int, data: bytes) -> int:
        if data == b"c-2\r\n":
            with path.open("ab") as other:
                other.write(b"theirs\r\n")
        return write(descriptor, data)

    with monkeypatch.context() as overtaken:
        overtaken.setattr(os, "write", write_and_be_overtaken)
        outcome = log.fail(ended("c-2"))
    log.add(ended("c-2"))

    assert isinstance(outcome, TemporaryFailure)
    assert sorted(row["Call id"] for row in rows(path)) == ["c-1", "c-2", "theirs"]


# --- several at once ----------------------------------------------------------------------------------------------


def test_several_connectors_write_into_one_file(connect: Connect, ended: Ended, path: Path) -> None:
    def write(number: int) -> None:
        log = connect(path=str(path), timeout=20.0)
        for call in range(20):
            log.add(ended(f"{number}-{call}"), ended(f"all-{call}"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    ids = [row["Call id"] for row in rows(path)]
    assert len(ids) == len({*ids}) == 100


def test_a_lock_that_is_held_too_long_is_waited_for_and_tried_again(connect: Connect, ended: Ended, path: Path) -> None:
    with (path.parent / ".calls.csv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        failure = connect(path=str(path), timeout=0.1).fail(ended())

    assert isinstance(failure, TemporaryFailure)
    assert not path.exists()


# --- speed, and the check -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("heading", ["Notes", "'many\nlines'"])
def test_a_very_long_header_keeps_its_columns(connect: Connect, ended: Ended, path: Path, heading: str) -> None:
    own = ";".join(f"{heading.replace(chr(39), chr(34))} {number}" for number in range(2_000))
    path.write_text(f"Call ID;{own}\n", "utf-8-sig")
    connect(path=str(path), columns=["call_id"]).add(ended("c-1"))

    assert path.read_text("utf-8-sig").split("\n")[-2] == f"c-1{';' * 2_000}"


def test_the_check_writes_nothing(connect: Connect, ended: Ended, tmp_path: Path) -> None:
    log = connect(path=str(tmp_path / "calls.csv"))

    assert log.connector.bridge_check().endswith("will be made with the first row")
    assert not (tmp_path / "calls.csv").exists()
    log.add(ended("c-1"))
    assert log.connector.bridge_check() == f"{tmp_path / 'calls.csv'} has 1 calls"
