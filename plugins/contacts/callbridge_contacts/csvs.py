"""Contacts of a CSV file, as Excel, Google, Outlook and accounting programs write it."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from callbridge_contacts.book import Card, card
from callbridge_contacts.settings import Columns

NAME = (
    *("ad soyad", "adi soyadi", "ad soyadi", "isim soyisim", "isim soyad", "full name", "display name", "name", "isim"),
    *("musteri adi", "musteri", "kisi", "yetkili", "yetkili kisi", "contact", "contact name"),
)
FIRST_NAME = ("first name", "given name", "ad", "adi", "isim", "name")
LAST_NAME = ("last name", "family name", "surname", "soyad", "soyadi", "soyisim")
COMPANY = (
    *("firma", "firma adi", "sirket", "sirket adi", "kurum", "kurum adi", "unvan", "unvani", "cari unvan"),
    *("cari unvani", "company", "company name", "organization", "organisation", "organization name"),
)
ID = (
    *("id", "no", "kod", "kodu", "musteri no", "musteri kodu", "cari kod", "cari kodu", "kayit no", "customer id"),
    *("contact id", "customer no", "record id", "uid"),
)
NOTE = ("not", "notlar", "aciklama", "note", "notes", "comment", "comments", "description")
PHONE = re.compile(
    r"(tel|telefon|cep|gsm|mobil|mobile|phone|telephone|cell|cellphone|whatsapp)(u|ler|lar|lari|s|no)?\d*"
)
NO_PHONE = frozenset({"type", "label", "tip", "tipi", "tur", "turu", "fax", "faks", "ext", "extension", "country"})
PHONE_ALONE = frozenset({"numara", "number", "numarasi"})


class _Places(NamedTuple):
    name: Sequence[int]
    company: int | None
    phone: Sequence[int]
    id: int | None
    note: int | None


def read_csv(text: str, columns: Columns) -> Iterator[Card]:
    """The contacts of a CSV file; the separator (`;`, `,` or tab) is found out.

    Raises ValueError where it ends within a quoted field, or has no columns for names or for numbers.
    """
    separator = None
    if text[:4].lower() == "sep=" and text[4:5]:  # Excel's own first line
        separator, text = text[4], text.partition("\n")[2]
    heading = next((line for line in text.split("\n") if line.strip()), "")
    rows = _rows(text, separator or max(";,\t", key=lambda each: len(next(csv.reader([heading], delimiter=each), []))))
    places = _places(next(rows, []), columns)

    def cell(row: Sequence[str], place: int | None) -> str:
        return row[place] if place is not None and place < len(row) else ""

    for row in rows:
        made = card(
            " ".join(cell(row, place) for place in places.name),
            cell(row, places.company),
            cell(row, places.id),
            cell(row, places.note),
            [phone for place in places.phone if (phone := cell(row, place))],
        )
        if made is not None:
            yield made


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    """The rows that are not empty. Quotes within a field are taken as people write them, an open one is not."""
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise ValueError("it ends within a quoted field: it is not complete") from None
        try:
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
        except csv.Error as fault:
            raise ValueError(f"it is no CSV file ({fault})") from None
    return (row for row in rows if any(row))


# --- headings -----------------------------------------------------------------------------------------------------


def folded(heading: str) -> str:
    """A heading for comparing: its words in lower case, without marks on letters (`Şirket ADI` is `sirket adi`)."""
    plain = unicodedata.normalize("NFKD", heading.replace("ı", "i")).casefold()
    return " ".join(re.findall(r"[a-z0-9]+", "".join(each for each in plain if not unicodedata.combining(each))))


def _places(headings: Sequence[str], columns: Columns) -> _Places:
    """Where the columns are. Raises ValueError, naming the headings, where one is not there or cannot be guessed."""
    known = [folded(heading) for heading in headings]
    shown = ", ".join(heading for heading in headings if heading.strip())[:300] or "none"

    def place(heading: str) -> int:
        if heading in headings:
            return headings.index(heading)
        if folded(heading) in known:
            return known.index(folded(heading))
        raise ValueError(f'it has no column "{heading}" (mend `columns`); its columns are: {shown}')

    def guess(guesses: Sequence[str]) -> int | None:
        return next((known.index(each) for each in guesses if each in known), None)

    company = guess(COMPANY) if columns.company is None else place(columns.company)
    name = [place(each) for each in columns.name] or _guessed_name(guess)
    phone = [place(each) for each in columns.phone] or [at for at, each in enumerate(known) if _is_phone(each)]
    if not phone:
        raise ValueError(
            f"none of its columns looks like telephone numbers: name them in `columns.phone`; they are: {shown}"
        )
    if not name and company is None:
        raise ValueError(f"none of its columns looks like names: name it in `columns.name`; they are: {shown}")
    return _Places(
        name,
        company,
        phone,
        guess(ID) if columns.id is None else place(columns.id),
        guess(NOTE) if columns.note is None else place(columns.note),
    )


def _guessed_name(guess: Callable[[Sequence[str]], int | None]) -> list[int]:
    """First and last name where there are both, else the whole one."""
    first, last, whole = guess(FIRST_NAME), guess(LAST_NAME), guess(NAME)
    if first is not None and last is not None:
        return [first, last]
    return [place for place in (whole, first) if place is not None][:1]


def _is_phone(heading: str) -> bool:
    words = heading.split()
    if NO_PHONE.intersection(words):
        return False
    return heading in PHONE_ALONE or any(PHONE.fullmatch(word) for word in words)
