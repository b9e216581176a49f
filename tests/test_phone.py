"""Numbers as a PBX writes them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.model import Direction, Locale, Number
from bridge.phone import read_number, same_number_key


def read(raw: str | None, locale: Locale = "tr", dialled: Direction | None = None) -> Number:
    return read_number(raw, region="TR", locale=locale, dialled=dialled)


@pytest.mark.parametrize(
    ("raw", "e164", "display"),
    [
        ("02123205062", "+902123205062", "(0212) 320 50 62"),
        ("05301234567", "+905301234567", "0530 123 45 67"),
        ("905320000000", "+905320000000", "0532 000 00 00"),
        ("+905320000000", "+905320000000", "0532 000 00 00"),
        ("00905320000000", "+905320000000", "0532 000 00 00"),
        ("0532 000 00 00", "+905320000000", "0532 000 00 00"),
        ("(0212) 320-50.62", "+902123205062", "(0212) 320 50 62"),
        ("00493089680211", "+493089680211", "+49 30 89680211"),
        ("+49 30 89680211", "+493089680211", "+49 30 89680211"),
        ("493089680211", "+493089680211", "+49 30 89680211"),
        (" 493089680211", "+493089680211", "+49 30 89680211"),
        ("+05320000000", "+905320000000", "0532 000 00 00"),
        ("4440542", "+904440542", "444 0 542"),
    ],
)
def test_an_outside_number_is_read_in_every_spelling(raw: str, e164: str, display: str) -> None:
    assert read(raw) == Number(raw=raw, e164=e164, display=display, kind="external")


def test_a_number_of_a_right_length_is_believed_even_where_the_numbering_plan_does_not_know_it() -> None:
    assert read("0100 000 00 00").e164 == "+901000000000"


@pytest.mark.parametrize(
    "raw", ["12", "abc", "+", "1014 (902129510292)", "ali@example.com", "0" * 5000, "++", "\ud800"]
)
def test_what_cannot_be_read_is_shown_as_it_came(raw: str) -> None:
    number = read(raw)
    assert (number.e164, number.kind) == (None, "external")
    assert number.display == number.raw == raw.replace("\ud800", "?")


@pytest.mark.parametrize(
    "raw", [None, "", " ", "anonymous", "Anonymous", "UNKNOWN", "private", "Restricted", "unavailable"]
)
def test_a_withheld_caller_is_shown_in_the_locale(raw: str | None) -> None:
    assert read(raw, "tr") == Number(raw=raw or "", e164=None, display="Gizli numara", kind="withheld")
    assert read(raw, "en").display == "Withheld number"


@pytest.mark.parametrize("raw", ["100", "1001", "100100"])
def test_three_to_six_digits_are_an_extension(raw: str) -> None:
    assert read(raw) == Number(raw=raw, e164=None, display=raw, kind="extension")


@pytest.mark.parametrize(
    ("raw", "dialled", "kind"),
    [
        ("*8", None, "service"),
        ("#31#", "inbound", "service"),
        ("112", "outbound", "service"),
        ("11811", "outbound", "service"),
        ("112", "internal", "service"),
        ("182", "internal", "extension"),
        ("1001", "outbound", "extension"),
        ("112", "inbound", "extension"),
        ("112", None, "extension"),
    ],
)
def test_a_short_number_is_a_service_where_it_was_dialled_from_inside(
    raw: str, dialled: Direction | None, kind: str
) -> None:
    assert read(raw, dialled=dialled).kind == kind


def test_numbers_compare_whatever_their_spelling() -> None:
    spellings = ("02123205062", "902123205062", "+90 212 320 50 62", "00902123205062", " (0212) 320 50 62 ")
    assert {same_number_key(spelling, "TR") for spelling in spellings} == {"+902123205062"}
    assert same_number_key(" 200 ", "TR") == "200"
    assert same_number_key("*8", "TR") == "*8"


@settings(deadline=None, derandomize=True)
@given(
    raw=st.none() | st.text() | st.text("+0123456789 ()-", max_size=70),
    region=st.sampled_from(["TR", "DE", "US", "XX"]),
)
def test_no_text_breaks_the_reading(raw: str | None, region: str) -> None:
    for dialled in (None, "inbound", "outbound", "internal"):
        number = read_number(raw, region=region, locale="en", dialled=dialled)
        assert number.raw == (raw or "")
        assert same_number_key(raw or "", region) == (number.e164 or (raw or "").strip())
