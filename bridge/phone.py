"""Telephone numbers: what a PBX or an address book writes, made comparable for programs and readable for people."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumber, PhoneNumberFormat, ValidationResult

from bridge.model import Direction, Locale, Number, NumberKind

LONGEST = 64
"""Characters: a longer text is no number. It is neither parsed nor cached."""

WITHHELD = frozenset({"", "anonymous", "unknown", "private", "restricted", "withheld", "unavailable"})
WITHHELD_DISPLAY: dict[Locale, str] = {"en": "Withheld number", "tr": "Gizli numara"}

_EXTENSION = re.compile(r"[0-9]{3,6}")
_WRITTEN_NUMBER = re.compile(r"[+0-9\s().\-/]{2,}")


def read_number(raw: str | None, *, region: str, locale: Locale, dialled: Direction | None = None) -> Number:
    """The number a PBX wrote as `raw`; never raises, whatever the text is.

    `region` is the country of the PBX (`TR`). `dialled` is the direction of the call on which this number was dialled,
    None for a caller: only what was dialled from inside can be a known short number such as 112.
    """
    text = raw or ""
    if len(text) > LONGEST:
        return _number(text, kind="external")
    return _read(text, region, locale, dialled)


def same_number_key(text: str, region: str) -> str:
    """What two spellings of one number have in common: its E.164 form, or the stripped text where it has none."""
    return read_number(text, region=region, locale="en").e164 or text.strip()


@lru_cache(maxsize=2048)
def _read(raw: str, region: str, locale: Locale, dialled: Direction | None) -> Number:
    text = raw.strip()
    if text.lower() in WITHHELD:
        return _number(raw, kind="withheld", display=WITHHELD_DISPLAY[locale])
    if text.startswith(("*", "#")) or _is_known_short_number(text, region, dialled):
        return _number(raw, kind="service")
    if _EXTENSION.fullmatch(text):
        return _number(raw, kind="extension")
    parsed = _parse(text, region) if _WRITTEN_NUMBER.fullmatch(text) else None
    if parsed is None:
        return _number(raw, kind="external")
    at_home = parsed.country_code == phonenumbers.country_code_for_region(region)
    style = PhoneNumberFormat.NATIONAL if at_home else PhoneNumberFormat.INTERNATIONAL
    return _number(
        raw,
        kind="external",
        e164=phonenumbers.format_number(parsed, PhoneNumberFormat.E164),
        display=phonenumbers.format_number(parsed, style),
    )


def _number(raw: str, *, kind: NumberKind, e164: str | None = None, display: str | None = None) -> Number:
    # Lone surrogates (a JSON body can bring them) are no text: neither the database nor UTF-8 takes them.
    text = raw.encode(errors="replace").decode()
    return Number(raw=text, e164=e164, display=display or text.strip(), kind=kind)


def _is_known_short_number(text: str, region: str, dialled: Direction | None) -> bool:
    if dialled not in ("outbound", "internal") or not _EXTENSION.fullmatch(text):
        return False
    if dialled == "internal":
        # Inside an office the other short numbers may be somebody's extension.
        return phonenumbers.is_emergency_number(text, region)
    number = _parse_as(text, region)
    return number is not None and phonenumbers.is_valid_short_number_for_region(number, region)


def _parse(text: str, region: str) -> PhoneNumber | None:
    """The valid number among the ways to read `text`; else what it says at home, if a number could look like that."""
    at_home = _parse_as(text, region)
    for number in chain([at_home], _other_readings(text, region)):
        if number is not None and phonenumbers.is_valid_number(number):
            return number
    # Numbering plans grow faster than the library's metadata: a number of the right length is believed.
    if at_home and phonenumbers.is_possible_number_with_reason(at_home) == ValidationResult.IS_POSSIBLE:
        return at_home
    return None


def _other_readings(text: str, region: str) -> Iterator[PhoneNumber | None]:
    """A plus that got lost (form decoding makes it a space), and one too many."""
    digits = re.sub(r"[^0-9]", "", text)
    yield _parse_as(f"+{digits}", region)
    yield _parse_as(digits, region)


def _parse_as(text: str, region: str) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None


_MARKS = r"[\s().\-/_\u00ad\u2010-\u2015\u200b-\u200f\u202a-\u202e\u2060\ufeff]{0,3}"
"""What people write between the digits of a number, and what shows nothing."""


def written_forms(e164: str) -> re.Pattern[str]:
    """Finds a number (E.164) in any text, however it is written: 0…, 90…, +90…, 00…, +90 (0)…, with blanks, brackets,
    dots and dashes anywhere."""
    number = phonenumbers.parse(e164)
    country, national = str(number.country_code), phonenumbers.national_significant_number(number)
    before = rf"\+?(?:{_between('00')}{_MARKS})?{_between(country)}{_MARKS}(?:0{_MARKS})?|0{_MARKS}"
    return re.compile(rf"(?<![0-9])(?:{before})?{_between(national)}(?![0-9])")


def _between(digits: str) -> str:
    return _MARKS.join(digits)


# --- address books ------------------------------------------------------------------------------------------------

LONGEST_ENTRY = 500
"""Characters of a text of an address book that are looked at."""
FEWEST_DIGITS = 7
"""Shorter numbers are extensions or services: in an address book nobody can be found by them."""

# A blank, also the no-break ones that spreadsheets and telephones write; and marks that show nothing.
_BLANK = " \t\u00a0\u2007\u2009\u202f"
_ONE_NUMBER = re.compile(r"\+?[0-9]{0,4} ?(?:\([0-9]{1,4}\) ?)?[0-9]+(?:[ .\-][0-9]+)*")
_NUMBER_IN_TEXT = re.compile(rf"\+?[{_BLANK}(]*[0-9][{_BLANK}0-9().\-‐-―/+]*")
_BETWEEN_NUMBERS = re.compile(rf"/|[{_BLANK}][-‐-―][{_BLANK}]|(?<=[0-9])[{_BLANK}]*(?=[+(])")
_BY_SPREADSHEET = re.compile(r"([0-9]{10,15})\.0")
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_NO_DIGITS = re.compile(r"[^0-9]+")


def e164_numbers(text: str, region: str) -> tuple[str, ...]:
    """Every telephone number in a text of an address book, in E.164, in their order, each once; never raises.

    However it is written: 0…, 90…, +90…, 00…, with blanks, brackets, dots, labels ("Cep: …"), `tel:`, an extension
    ("dahili 12", "x12", "/12"), which is left out, or several in one text. National numbers are of `region` (`TR`).
    What is not a whole number is left out.
    """
    if _ONE_NUMBER.fullmatch(text):  # nearly all are: spend no time on what else a text may hold
        digits = _NO_DIGITS.sub("", text)
        number = _plain_e164(digits, text.startswith("+"), region) if len(digits) >= FEWEST_DIGITS else None
        if number is not None:
            return (number,)
    found = dict[str, None]()
    visible = text if text.isascii() else _UNSEEN.sub("", text)
    for written in _NUMBER_IN_TEXT.findall(visible[:LONGEST_ENTRY]):
        first, *others = _BETWEEN_NUMBERS.split(written)
        number = _e164(first, region)
        if others and number is None:
            number, others = _e164(written, region), []  # 0212/320 50 62
        numbers = [number, *(_e164(other, region) for other in others)]
        found.update(dict.fromkeys(each for each in numbers if each is not None))
    return tuple(found)


def _e164(written: str, region: str) -> str | None:
    by_spreadsheet = _BY_SPREADSHEET.fullmatch(written)
    digits = by_spreadsheet[1] if by_spreadsheet else _NO_DIGITS.sub("", written)
    if not FEWEST_DIGITS <= len(digits) <= LONGEST:
        return None
    international = written.startswith("+")
    return _plain_e164(digits, international, region) or _parsed_e164(f"+{digits}" if international else digits, region)


def _parsed_e164(text: str, region: str) -> str | None:
    parsed = _parse(text, region)
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164) if parsed else None


def _plain_e164(digits: str, international: bool, region: str) -> str | None:
    """What `_parsed_e164` says of plainly written mobile and fixed numbers, many times as fast; None for others."""
    home = _plan(region)
    if international or (home and digits.startswith("00")):
        return _international_e164(digits if international else digits[2:])
    if home is None:
        return None
    if digits.startswith("0"):
        national = digits[1:]
    elif home.any_number.fullmatch(digits):
        national = digits
    else:
        national = digits.removeprefix(home.code) if digits.startswith(home.code) else ""
    return f"+{home.code}{national}" if home.mobile_or_fixed.fullmatch(national) else None


def _international_e164(digits: str) -> str | None:
    if digits.startswith("0"):
        return None
    for length in (1, 2, 3):  # no country code begins with another
        regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(digits[:length]))
        plan = _plan(regions[0]) if regions else None
        if plan is not None and plan.mobile_or_fixed.fullmatch(digits[length:]):
            return f"+{digits}"
    return None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the numbering plan of a region says: its country code, and what its national numbers look like."""

    code: str
    any_number: re.Pattern[str]
    mobile_or_fixed: re.Pattern[str]


@cache
def _plan(region: str) -> _Plan | None:
    """The plan of a region where people dial 0 before national and 00 before international numbers; else None."""
    metadata = PhoneMetadata.metadata_for_region(region)
    if metadata is None or (metadata.national_prefix_for_parsing, metadata.international_prefix) != ("0", "00"):
        return None
    any_number = metadata.general_desc and metadata.general_desc.national_number_pattern
    kinds = [
        f"(?=(?:{'|'.join(f'.{{{length}}}' for length in kind.possible_length)})$)(?:{kind.national_number_pattern})"
        for kind in (metadata.mobile, metadata.fixed_line)
        if kind and kind.national_number_pattern
    ]
    if not any_number or not kinds:
        return None
    return _Plan(str(metadata.country_code), re.compile(any_number), re.compile(f"(?!0)(?:{'|'.join(kinds)})"))
