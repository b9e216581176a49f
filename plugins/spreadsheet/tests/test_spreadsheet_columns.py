"""What a row says of a call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, time, timedelta
from typing import Any

import pytest
from callbridge_spreadsheet.columns import CATALOGUE, DEFAULT, Value, identifying, row, with_id
from callbridge_spreadsheet.layout import arrange

from bridge import CallData, Contact, Delivery, Locale, Number

Ended = Callable[..., Delivery]

DID = Number(raw="02129001122", e164="+902129001122", display="(0212) 900 11 22", kind="external")
EXTENSION = Number(raw="1001", e164=None, display="1001", kind="extension")


def cells(delivery: Delivery, locale: Locale = "en") -> dict[str, Value]:
    assert isinstance(delivery.event.data, CallData)
    return dict(row(delivery.event, delivery.event.data, [*CATALOGUE], locale).cells)


def test_a_missed_call_is_told_completely(ended: Ended) -> None:
    contact = Contact(name="Ayşe Öztürk", company="Örnek A.Ş.", note="Bayi")
    call = ended("c-1", contact=contact, called=DID, rang=("1001", "1002"), cause_text="Vazgeçildi")

    assert cells(call, "tr") == {
        "date": date(2026, 11, 24),
        "time": time(14, 5, 7),
        "direction": "Gelen",
        "number": "(0212) 320 50 62",
        "name": "Ayşe Öztürk",
        "company": "Örnek A.Ş.",
        "note": "Bayi",
        "line": "(0212) 900 11 22",
        "queue": "200",
        "rang": "1001, 1002",
        "answered_by": None,
        "waited": timedelta(seconds=20),
        "queue_waited": timedelta(seconds=15),
        "talked": timedelta(0),
        "ended": time(14, 5, 27),
        "result": "Kaçan",
        "cause": "Vazgeçildi",
        "hung_up_by": "Arayan",
        "recording": "Yok",
        "caller": "(0212) 320 50 62",
        "called": "(0212) 900 11 22",
        "source": "bulutsantralim",
        "tenant": "101",
        "event_id": "evt_c-1",
        "call_id": "c-1",
    }


@pytest.mark.parametrize(
    ("kind", "en", "tr"),
    [
        ("call.completed", "Answered", "Cevaplandı"),
        ("call.missed", "Missed", "Kaçan"),
        ("call.unanswered", "Unanswered", "Cevapsız"),
    ],
)
def test_how_it_ended_is_told_in_the_locale(ended: Ended, kind: str, en: str, tr: str) -> None:
    assert (cells(ended("1", kind), "en")["result"], cells(ended("1", kind), "tr")["result"]) == (en, tr)


def test_the_number_of_an_outgoing_call_is_the_one_that_was_called(ended: Ended) -> None:
    shown = Number(raw="02125550000", e164="+902125550000", display="(0212) 555 00 00", kind="external")
    call = cells(ended("1", direction="outbound", caller=EXTENSION, called=DID, outside_number=shown))

    assert (call["number"], call["line"], call["caller"]) == (DID.display, shown.display, "1001")


@pytest.mark.parametrize("called", [EXTENSION, None])
def test_an_extension_is_no_line(ended: Ended, called: Number | None) -> None:
    assert cells(ended("1", called=called))["line"] is None


def test_what_is_not_known_stays_empty(ended: Ended) -> None:
    unknown: dict[str, Any] = {
        "direction": None,
        "ended_at": None,
        "talk_seconds": None,
        "wait_seconds": None,
        "cause": None,
        "cause_text": None,
        "recording_present": None,
        "queue": "",
    }
    call = cells(ended("1", **unknown))

    empty = ("direction", "ended", "talked", "waited", "cause", "recording", "queue", "name", "company")
    assert [call[name] for name in empty] == [None] * len(empty)


def test_a_call_of_which_no_start_is_known_has_the_time_of_its_event(ended: Ended) -> None:
    delivery = ended("1", started_at=None)
    assert cells(delivery)["time"] == delivery.event.timestamp.time()


def test_what_a_caller_sends_is_one_short_line_of_printable_text(ended: Ended) -> None:
    name = "a\r\nb\tc\x00d\u2028e\ud800f" + "x" * 2000
    shown = cells(ended("1", contact=Contact(name=name)))["name"]

    assert isinstance(shown, str)
    assert shown.startswith("a b c d e fx")
    assert len(shown) == 1000
    assert shown.isprintable()


def test_a_row_can_always_be_found_again() -> None:
    assert with_id(["date", "number"]) == ("date", "number", "call_id")
    assert with_id(["event_id", "date"]) == ("event_id", "date")
    assert with_id(DEFAULT) == DEFAULT
    assert identifying(["tenant", "date", "call_id"]) == ("tenant", "call_id")
    assert identifying(["call_id", "event_id"]) == ("event_id",)


def test_no_two_columns_have_the_same_heading() -> None:
    for locale in ("en", "tr"):
        headings = [column.heading(locale).casefold() for column in CATALOGUE.values()]
        assert len({*headings}) == len(headings)


@pytest.mark.parametrize(
    ("heading", "column"), [("TARİH", "date"), ("ÇAĞRI NO", "call_id"), ("DIRECTION", "direction"), (" date ", "date")]
)
def test_a_heading_is_known_in_the_capitals_of_both_languages(heading: str, column: str) -> None:
    assert arrange([heading], [column], "tr", "calls.csv").missing == ()
