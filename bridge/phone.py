"""Telephone numbers: what a PBX writes, made comparable for programs and readable for people."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, ValidationResult

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
