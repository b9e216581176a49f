"""Contacts of vCards, of versions 2.1, 3.0 and 4.0.

Only what a contact is made of is read. (vobject, which reads all of a card, takes 40 s for 100,000 cards, this 2 s.)
"""

from __future__ import annotations

import quopri
import re
from collections.abc import Iterator

from callbridge_contacts.book import Card, card

WANTED = frozenset({"FN", "N", "ORG", "TEL", "UID", "NOTE"})

_SOFT_BREAKS = re.compile(r"^[^:\n]*QUOTED-PRINTABLE[^:\n]*:(?:.*=\n)+.*$", re.IGNORECASE | re.MULTILINE)
_PROPERTY = re.compile(r'((?:"[^"]*"|[^":])*):(.*)', re.DOTALL)
_CHARSET = re.compile(r'CHARSET="?([\w.:-]+)', re.IGNORECASE)
_PARTS = re.compile(r"(?:\\.|[^;\\])+|(?<=;)(?=;)|^(?=;)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def read_vcards(text: str) -> Iterator[Card]:
    """The contacts of a text whose line ends are newlines.

    Raises ValueError where a card is not complete, or none is there.
    """
    if "QUOTED-PRINTABLE" in text.upper():
        text = _SOFT_BREAKS.sub(lambda found: found[0].replace("=\n", ""), text)
    values: dict[str, list[str]] = {}
    depth, cards = 0, 0
    for line in text.replace("\n ", "").replace("\n\t", "").split("\n"):
        name, _, rest = line.partition(":")
        name = name.partition(";")[0].rpartition(".")[2].strip().upper()  # item1.TEL;TYPE=cell
        if name == "BEGIN" and rest.strip().upper() == "VCARD":
            depth, cards = depth + 1, cards + 1
            values = values if depth > 1 else {}  # within a card: the card of an AGENT
        elif name == "END" and rest.strip().upper() == "VCARD" and depth:
            depth -= 1
            if depth == 0 and (made := _card(values)) is not None:
                yield made
        elif depth == 1 and name in WANTED:
            values.setdefault(name, []).append(_value(line))
    if depth:
        raise ValueError("its last vCard has no end: it is not complete")
    if not cards:
        raise ValueError("it holds no vCard")


def _card(values: dict[str, list[str]]) -> Card | None:
    name = _plain(_first(values, "FN")) or _name_of_parts(_first(values, "N"))
    company = next(iter(_parts(_first(values, "ORG"))), "")
    phones = [_plain(phone) for phone in values.get("TEL", ())]
    return card(name, company, _plain(_first(values, "UID")), _plain(_first(values, "NOTE")), phones)


def _name_of_parts(value: str) -> str:
    family, given, middle, *_ = [*_parts(value), "", "", ""]
    return f"{given} {middle} {family}"


def _first(values: dict[str, list[str]], name: str) -> str:
    return next((value for value in values.get(name, ()) if value.strip()), "")


def _value(line: str) -> str:
    """The value of a property, its escapes still in it."""
    parameters, _, value = line.partition(":")
    if '"' in parameters and (found := _PROPERTY.fullmatch(line)):
        parameters, value = found[1], found[2]
    if "QUOTED-PRINTABLE" not in parameters.upper():
        return value
    data = quopri.decodestring(value.encode())
    charset = _CHARSET.search(parameters)
    for encoding in (charset[1] if charset else "utf-8", "utf-8"):
        try:
            return data.decode(encoding)
        except (LookupError, UnicodeDecodeError):
            continue
    return data.decode("cp1254", "replace")


def _parts(value: str) -> list[str]:
    """The parts of a structured value."""
    return [_plain(part) for part in _PARTS.findall(value)]


def _plain(value: str) -> str:
    if "\\" not in value:
        return value
    return _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], value)
