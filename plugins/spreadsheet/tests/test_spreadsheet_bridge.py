"""Rows from a real bridge: posts of the PBX in, a file out."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import openpyxl

from bridge.testing import BridgeProcess, eventually, running_bridge

CSV = """
locale = "tr"
[connectors.call_log]
kind = "spreadsheet"
on = ["call.*"]
path = "calls-{year}-{month}.csv"
"""
WORKBOOK = """
[connectors.book]
kind = "spreadsheet"
on = ["call.completed", "call.missed", "call.unanswered"]
target = "xlsx"
path = "calls.xlsx"
every = "2s"
"""


def hangup(call_id: str, **fields: str) -> Mapping[str, str]:
    """The end of a call that two phones rang for and 1002 took."""
    return {
        "event_type": "hangup",
        "domain_id": "101",
        "direction": "inbound",
        "caller_id_number": "05321234567",
        "destination_number": "02129001122",
        "dialed_user": "1002",
        "connected_user": "1002",
        "call_uuid": call_id,
        "start_stamp": "2026-11-30 23:59:50",
        "answer_stamp": "2026-12-01 00:00:05",
        "end_stamp": "2026-12-01 00:02:10",
        "queue": "200",
        "recording_present": "true",
        "hangup_cause": "NORMAL_CLEARING",
        **fields,
    }


def rows(path: Path) -> list[dict[str, str]]:
    text = path.read_text("utf-8-sig") if path.exists() else ""
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=";"))


def settled(bridge: BridgeProcess, count: int) -> bool:
    """Whether as many deliveries have ended, and none waits."""
    states = [row["state"] for row in bridge.rows("deliveries")]
    return len(states) >= count and {*states} <= {"delivered", "skipped"}


def test_a_call_becomes_one_row_when_it_ends_over_repeats_and_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "calls-2026-11.csv"
    bridge = BridgeProcess(tmp_path, CSV)
    try:
        bridge.start()
        for extension in ("1001", "1002"):
            bridge.post("/event", hangup("c-1", event_type="ringing", dialed_user=extension, connected_user=""))
        eventually(lambda: settled(bridge, 2), "the ringing")
        assert not path.exists()
        assert bridge.post("/event", hangup("c-1")).status_code == 200
        bridge.post(
            "/event",
            hangup("c-2", caller_id_number='=HYPERLINK("https://evil.example")', connected_user="", answer_stamp=""),
        )
        eventually(lambda: settled(bridge, 4), "the rows")
        bridge.kill()
        bridge.start()
        assert bridge.run("replay", *[row["id"] for row in bridge.rows("deliveries")]).returncode == 0
        bridge.post("/event", hangup("c-3"))
        eventually(lambda: settled(bridge, 5) and len(rows(path)) == 3, "the repeats")
    finally:
        bridge.close()

    first, second, third = rows(path)
    assert first == {
        "Tarih": "2026-11-30",
        "Saat": "23:59:50",
        "Yön": "Gelen",
        "Numara": "0532 123 45 67",
        "Ad Soyad": "",
        "Firma": "",
        "Hat": "(0212) 900 11 22",
        "Kuyruk": "200",
        "Çalan dahililer": "1001, 1002",
        "Cevaplayan": "1002",
        "Bekleme": "0:00:15",
        "Konuşma": "0:02:05",
        "Sonuç": "Cevaplandı",
        "Sebep": "Cevaplandı",
        "Ses kaydı": "Var",
        "Çağrı no": "c-1",
    }
    assert second["Numara"] == '\'=HYPERLINK("https://evil.example")'
    assert second["Sonuç"] == "Kaçan"
    assert third["Çağrı no"] == "c-3"


def test_one_rewrite_of_a_workbook_serves_all_that_waits(tmp_path: Path) -> None:
    with running_bridge(tmp_path, WORKBOOK) as bridge:
        for number in range(25):
            bridge.post("/event", hangup(f"c-{number}"))
        eventually(lambda: settled(bridge, 25), "the rows")
        began = sorted({attempt["started_at"] for attempt in bridge.rows("attempts")})
        assert bridge.run("check", "--online").returncode == 0

    ids = [cell.value for cell in openpyxl.load_workbook(tmp_path / "calls.xlsx").worksheets[0]["P"]]
    assert sorted(map(str, ids)) == sorted(["Call id", *(f"c-{number}" for number in range(25))])
    assert len(began) <= 3


def test_a_workbook_that_is_open_in_excel_loses_no_call(tmp_path: Path) -> None:
    lock = tmp_path / "~$calls.xlsx"
    lock.touch()
    config = WORKBOOK + 'retry.schedule = ["0.5s", "0.5s", "0.5s", "0.5s", "0.5s", "1s", "1s", "1s", "1s", "1s"]\n'
    config = config.replace('every = "2s"', 'every = "0"') + "breaker.failures = 0\n"
    with running_bridge(tmp_path, config) as bridge:
        bridge.post("/event", hangup("c-1"))
        (attempt, *_) = eventually(lambda: bridge.rows("attempts"), "the first try")
        lock.unlink()
        eventually(lambda: settled(bridge, 1), "the row")

    assert "is open in another program" in attempt["error"]
    assert openpyxl.load_workbook(tmp_path / "calls.xlsx").worksheets[0]["P2"].value == "c-1"
