"""Hiding the middle of telephone numbers, where the whole number is nobody's business: `0532 *** ** 67`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from bridge.model import Call, CallData, Contact, Event, Fields, Number, Trouble, TroubleData
from bridge.phone import written_forms

SHOWN_LAST = 2
HIDDEN = 5
"""Digits that are hidden before the last ones that are shown: with the area before them a number can be told from
another, and nobody can be called."""

_NUMBER = re.compile(r"\+?[0-9 ().\-/]{7,}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_IN_TEXT = re.compile(r"(?<![\w.+\-])(?:(?:\+|%2B|0)(?:[ \u00a0()\-/]{0,2}[0-9]){9,14}|[0-9]{10,15})(?![\w])")


def mask(number: str) -> str:
    """The number with its middle hidden, spelled as it was; what has fewer than seven digits stays as it is."""
    places = [place for place, letter in enumerate(number) if letter.isdigit()]
    if len(places) < HIDDEN + SHOWN_LAST:
        return number
    hidden = set(places[-HIDDEN - SHOWN_LAST : -SHOWN_LAST])
    return "".join("*" if place in hidden else letter for place, letter in enumerate(number))


def mask_text(text: str) -> str:
    """A text, such as a line of a log, with everything in it masked that looks like an outside number."""
    return _IN_TEXT.sub(lambda found: mask(found[0]), text)


def mask_event(event: Event) -> Event:
    """The event for those who are to see no whole number: the outside numbers, wherever they stand in it, are masked
    and have no E.164 form."""
    if isinstance(event.data, TroubleData):
        trouble = event.data.trouble
        return _with_data(event, event.data.model_copy(update={"trouble": _mask_trouble(trouble)}))
    data, call = event.data, event.data.call
    masked = _Masked([one.e164 for one in (call.caller, call.called, call.outside_number) if one and one.e164])
    contact = data.contact and masked.contact(data.contact)
    changes = {"call": masked.call(call), "contact": contact, "raw": masked.fields(data.raw, {call.id, data.tenant})}
    return _with_data(event, data.model_copy(update=changes))


def _with_data(event: Event, data: CallData | TroubleData) -> Event:
    return event.model_copy(update={"data": data})


def _mask_trouble(trouble: Trouble) -> Trouble:
    return trouble.model_copy(update={"reason": mask_text(trouble.reason)})


class _Masked:
    """Masks what belongs to an event that speaks of these numbers (E.164)."""

    def __init__(self, numbers: Sequence[str]) -> None:
        self._forms = [written_forms(number) for number in dict.fromkeys(numbers)]

    def call(self, call: Call) -> Call:
        """A call; extensions and queues stay, a telephone elsewhere that rang does not."""
        numbers = ("caller", "called", "outside_number")
        texts = ("dialed_user", "connected_user", "queue", "cause_text", "failure_phrase")
        changes: dict[str, object] = {name: self._number(getattr(call, name)) for name in numbers}
        changes |= {name: self._text(getattr(call, name)) for name in texts}
        return call.model_copy(update=changes | {"rang": tuple(self._shown(one) for one in call.rang)})

    def contact(self, contact: Contact) -> Contact:
        """A contact, which may have the number in its note."""
        return contact.model_copy(
            update={name: self._text(getattr(contact, name)) for name in ("name", "company", "id", "note")}
        )

    def fields(self, fields: Mapping[str, str | list[str]], ids: set[str | None]) -> Fields:
        """The form as it came; what is one of the `ids` is no number, whatever it looks like."""
        return {
            name: [self._field(one, ids) for one in value] if isinstance(value, list) else self._field(value, ids)
            for name, value in fields.items()
        }

    def _field(self, value: str, ids: set[str | None]) -> str:
        return value if value in ids else self._shown(value)

    def _number(self, number: Number | None) -> Number | None:
        if number is None or number.kind != "external":
            return number
        return number.model_copy(update={"raw": mask(number.raw), "display": mask(number.display), "e164": None})

    def _text(self, text: str | None) -> str | None:
        return None if text is None else self._shown(text)

    def _shown(self, text: str) -> str:
        if _NUMBER.fullmatch(text) and not _DATE.match(text):
            return mask(text)
        for form in self._forms:
            text = form.sub(lambda found: mask(found[0]), text)
        return mask_text(text)
