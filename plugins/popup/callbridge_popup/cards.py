"""The card of a call as a page or a program gets it: plain JSON, in which everything a caller controls is text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from bridge import Call, Contact, Number
from callbridge_popup.links import fill
from callbridge_popup.screens import Place, other_party
from callbridge_popup.settings import PopupSettings

RESULTS = frozenset({"completed", "missed", "unanswered"})
LONGEST_TEXT = 500
"""Characters of a name, a note or a number that are shown."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found about a number: who has it (nobody is guessed; None where not all directories have answered), and
    the last calls with it, newest first."""

    contacts: tuple[Contact, ...] | None
    history: tuple[Call, ...]


class CardMaker:
    """Makes the cards of one connector."""

    def __init__(self, settings: PopupSettings) -> None:
        self._settings = settings

    def make(
        self, key: str, extension: str, call: Call, place: Place, found: Found | None, now: float
    ) -> dict[str, Any]:
        """The card of a call at an extension; `found` is None until the directories have been asked."""
        number = other_party(call)
        contacts = found.contacts if found else () if _is_nobodys(call.outside_party) else None
        values = _values(call, number, extension)
        return {
            "card": card_id(key, extension),
            "extension": extension,
            "state": place.stage,
            "since": max(0.0, round(now - place.since, 3)),
            "call_id": call.id,
            "direction": call.direction,
            "number": _number(number),
            "line": _line(call),
            "queue": _text(call.queue),
            "answered_by": call.connected_user,
            "result": call.state if place.stage == "ended" and call.state in RESULTS else None,
            "cause": _text(call.cause_text),
            "wait_seconds": call.wait_seconds,
            "talk_seconds": call.talk_seconds,
            "started_at": call.started_at.isoformat() if call.started_at else None,
            "contacts": None if contacts is None else [self._contact(one, values) for one in contacts],
            "new_url": self._new(values) if contacts == () else None,
            "history": [] if found is None else [_past(one) for one in found.history if one.id != call.id],
        }

    def _contact(self, contact: Contact, values: Mapping[str, str | None]) -> dict[str, Any]:
        own = {"contact_id": contact.id, "name": contact.name, "company": contact.company}
        return {
            "name": _text(contact.name),
            "company": _text(contact.company),
            "note": _text(contact.note),
            "directory": contact.directory,
            "url": fill(self._settings.crm_url, {**values, **own}) if self._settings.crm_url else None,
        }

    def _new(self, values: Mapping[str, str | None]) -> str | None:
        return fill(self._settings.new_url, values) if self._settings.new_url else None


def card_id(key: str, extension: str) -> str:
    """What names a card: the same for one call at one extension, ever."""
    return blake2b(f"{key}\0{extension}".encode(), digest_size=9).hexdigest()


def _values(call: Call, number: Number | None, extension: str) -> dict[str, str | None]:
    return {
        "e164": number.e164 if number else None,
        "number": _text(number.raw) if number else None,
        "extension": extension,
        "queue": call.queue,
        "direction": call.direction,
        "call_id": call.id,
    }


def _is_nobodys(number: Number | None) -> bool:
    """Whether no directory can know who that is: what calls has no E.164 form. A number that was masked for this
    connector (`0532*****67`) has none either, and may be anybody's."""
    return number is not None and number.kind == "external" and number.e164 is None and "*" not in number.raw


def _number(number: Number | None) -> dict[str, str | None]:
    if number is None:
        return {"display": "", "e164": None, "kind": "withheld"}
    return {"display": _text(number.display) or "", "e164": number.e164, "kind": number.kind}


def _line(call: Call) -> str | None:
    """The number of the office that was called, or that an outbound call shows."""
    line = call.outside_number if call.direction == "outbound" else call.called
    return _text(line.display) if line is not None and line.kind == "external" else None


def _past(call: Call) -> dict[str, Any]:
    at = call.started_at or call.answered_at or call.ended_at
    return {
        "at": at.isoformat() if at else None,
        "direction": call.direction,
        "state": call.state,
        "talk_seconds": call.talk_seconds,
        "wait_seconds": call.wait_seconds,
        "answered_by": call.connected_user,
        "cause": _text(call.cause_text),
    }


def _text(text: str | None) -> str | None:
    """Without control characters, and no longer than a screen can bear."""
    if not text:
        return None
    return "".join(one if one.isprintable() or one == "\n" else " " for one in text[:LONGEST_TEXT])


def read_found(contacts: Sequence[Mapping[str, Any]] | None, history: Sequence[Mapping[str, Any]]) -> Found:
    """What was found, from its JSON form."""
    return Found(
        None if contacts is None else tuple(Contact.model_validate(one) for one in contacts),
        tuple(Call.model_validate(one) for one in history),
    )
