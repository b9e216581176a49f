"""Numbers as a PBX writes them."""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneMetadata

from bridge.model import Direction, Locale, Number
from bridge.phone import _parsed_e164, _plain_e164, e164_numbers, read_number, same_number_key


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


# --- address books ------------------------------------------------------------------------------------------------


ISTANBUL = [
    *("02123205062", "0 (212) 320 50 62", "(0212) 320-50.62", "+90 212 320 50 62", "+90-212-320-5062", "902123205062"),
    *("90 212 320 50 62", "00902123205062", "00 90 212 320 50 62", "2123205062", "212 320 50 62", "(+90) 212 3205062"),
    *("+90 (0) 212 320 50 62", "+90 (212) 3205062", "0212/320 50 62", "0212\u00a0320\u202f50\u00a062"),
    *("\u202a+90 212 320 50 62\u202c", "tel:+90-212-320-5062", "Tel: 0212 320 50 62", "0212 320 50 62 dahili 12"),
    *("0212 320 50 62 x1234", "02123205062 (1001)", "0212 320 50 62/12", "0212 320 50 62 - 63"),
    *("tel:+90-212-320-5062;ext=12", "+902123205062,,1001#", "2123205062.0", "'+902123205062", "+ 90 212 320 50 62"),
    "0212–320–50–62",
]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        *((spelling, ["+902123205062"]) for spelling in ISTANBUL),
        ("0532 123 45 67 / 0533 123 45 67", ["+905321234567", "+905331234567"]),
        ("0532 123 45 67, 0533 123 45 67", ["+905321234567", "+905331234567"]),
        ("0532 123 45 67 veya 0533 123 45 67", ["+905321234567", "+905331234567"]),
        ("0532 123 45 67\n0533 123 45 67", ["+905321234567", "+905331234567"]),
        ("0532 123 45 67 - 0533 123 45 67", ["+905321234567", "+905331234567"]),
        ("+905321234567 +905331234567", ["+905321234567", "+905331234567"]),
        ("05321234567 05321234567;0 532 123 45 67", ["+905321234567"]),
        ("444 0 542", ["+904440542"]),
        ("+49 30 89680211", ["+493089680211"]),
        ("00493089680211", ["+493089680211"]),
        ("+49 (0)30 89680211", ["+493089680211"]),
    ],
)
def test_the_numbers_of_an_address_book_are_read_however_they_are_written(text: str, numbers: list[str]) -> None:
    assert e164_numbers(text, "TR") == tuple(numbers)


@pytest.mark.parametrize(
    "text", ["", "1001", "112", "*8", "50 62", "Ayşe", "5,32123E+09", "ayse@ornek.com.tr", "+", "()/-"]
)
def test_what_is_no_whole_number_finds_nobody(text: str) -> None:
    assert e164_numbers(text, "TR") == ()


@pytest.mark.parametrize("text", ["5062", "205062", "3205062", "12 320 50 62"])
def test_the_end_of_a_number_is_not_that_number(text: str) -> None:
    assert "+902123205062" not in e164_numbers(text, "TR")


REGIONS = ["TR", "DE", "GB", "FR", "AZ", "NL", "US", "IT"]


@st.composite
def spellings(draw: st.DrawFn) -> tuple[str, str]:
    """Digits as people write them in a region, of a number of that or of another one: right, or nearly so."""
    region, of = draw(st.sampled_from(REGIONS)), draw(st.sampled_from(REGIONS))
    metadata = PhoneMetadata.metadata_for_region(of)
    kinds = [metadata.mobile.national_number_pattern, metadata.fixed_line.national_number_pattern]
    plausible = [st.from_regex(kind, fullmatch=True, alphabet="0123456789") for kind in kinds]
    national = draw(st.one_of(*plausible, st.from_regex("[2-58][0-9]{8,10}|[0-9]{5,13}", fullmatch=True)))
    code = str(metadata.country_code)
    return draw(st.sampled_from(["", "0", code, f"{code}0", f"00{code}", "00", "000"])) + national, region


@settings(deadline=None, derandomize=True, max_examples=600)
@given(spelling=spellings(), international=st.booleans())
@example(spelling=("02037151250", "GB"), international=True)
@example(spelling=("00040210443076", "NL"), international=False)
def test_the_fast_way_says_what_phonenumbers_says(spelling: tuple[str, str], international: bool) -> None:
    digits, region = spelling
    fast = _plain_e164(digits, international, region)

    assert fast in (None, _parsed_e164(f"+{digits}" if international else digits, region))


@settings(deadline=None, derandomize=True)
@given(national=st.from_regex("5[34][0-9]{8}|(212|216|312|232)[2-8][0-9]{6}", fullmatch=True, alphabet="0123456789"))
def test_the_common_spellings_of_turkey_go_the_fast_way(national: str) -> None:
    for written, international in ((f"90{national}", True), (f"0{national}", False), (national, False)):
        said = _parsed_e164(f"+{written}" if international else written, "TR")
        assert said == f"+90{national}"
        if phonenumbers.is_valid_number(phonenumbers.parse(national, "TR")):
            assert _plain_e164(written, international, "TR") == said


@settings(deadline=None, derandomize=True, max_examples=250)
@example(spelling=("251681", "DE"), marks=[""] * 20)
@given(spelling=spellings(), marks=st.lists(st.sampled_from(["", " ", "-", ".", "(", ") "]), min_size=20, max_size=20))
def test_a_number_alone_is_read_as_one_beside_words(spelling: tuple[str, str], marks: list[str]) -> None:
    digits, region = spelling
    written = "".join(digit + mark for digit, mark in zip(digits, marks, strict=False)) + digits[20:]

    assert e164_numbers(written, region) == e164_numbers(f"Tel: {written}", region)


@settings(deadline=None, derandomize=True)
@given(text=st.text() | st.text("+0123456789 ()-/.,x", max_size=80), region=st.sampled_from([*REGIONS, "XX"]))
def test_no_text_breaks_the_reading_of_an_address_book(text: str, region: str) -> None:
    for number in e164_numbers(text, region):
        assert number[0] == "+"
        assert number[1:].isdigit()
