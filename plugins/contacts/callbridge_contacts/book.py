"""An address book in memory, made to be asked by number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from bridge import Contact, e164_numbers


class Card(NamedTuple):
    """A contact as a file or a server has it; `phones` are texts as people wrote them."""

    name: str
    company: str | None
    id: str | None
    note: str | None
    phones: tuple[str, ...]


def card(
    name: str,
    company: str = "",
    contact_id: str = "",
    note: str = "",
    phones: Iterable[str] = (),
) -> Card | None:
    """A card of texts as they came; the company stands for a missing name, and without both there is none."""
    name, company = " ".join(name.split()), " ".join(company.split())
    if not name:
        name, company = company, ""
    return (
        Card(name, company or None, contact_id.strip() or None, note.strip() or None, tuple(phones)) if name else None
    )


class Book:
    """Cards by number, in E.164. `region` is the country of national numbers. Never changed once it is made."""

    def __init__(self, cards: Iterable[Card], region: str) -> None:
        self._cards: dict[str, tuple[Card, ...]] = {}
        self.contacts = 0
        for each in cards:
            numbers = {number for phone in each.phones for number in e164_numbers(phone, region)}
            kept = Card(each.name, each.company, each.id, each.note, ())
            self.contacts += bool(numbers)
            for number in numbers:
                others = self._cards.get(number, ())
                if kept not in others:
                    self._cards[number] = (*others, kept)

    @property
    def numbers(self) -> int:
        """How many numbers somebody can be found by."""
        return len(self._cards)

    def who_has(self, number: str) -> list[Contact]:
        """Everybody with exactly this number (E.164)."""
        return [
            Contact(name=each.name, company=each.company, id=each.id, note=each.note)
            for each in self._cards.get(number, ())
        ]
