"""The directory: asks the CRM who has a number, and believes what it can verify."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import phonenumbers

from bridge import Contact, DirectoryContext, HttpResponse, Number, PermanentFailure, e164_numbers, hookimpl
from callbridge_rest.expressions import Misfit, found, texts
from callbridge_rest.request import LARGEST_ANSWER, Request
from callbridge_rest.settings import DirectorySettings
from callbridge_rest.values import number_values


class RestDirectory:
    """Sends one search for each lookup; may be called from several threads."""

    def __init__(self, settings: DirectorySettings, context: DirectoryContext) -> None:
        self._request = Request(settings, context.http)
        self._items = settings.items
        self._fields = settings.fields
        self._not_found = frozenset(settings.not_found)
        self._region = context.region
        self._log = context.log
        self._told = set[str]()

    @hookimpl
    def bridge_lookup(self, number: Number) -> Sequence[Contact]:
        """Everybody who has exactly this number. Raises a `DeliveryFailure` where the CRM gives no usable answer."""
        if number.e164 is None:
            return ()
        contacts = (
            self._contact(item)
            for item in self._found(self._request.send(number_values(number)))
            if self._has(item, number.e164)
        )
        return [contact for contact in contacts if contact is not None]

    @hookimpl
    def bridge_check(self) -> str:
        """Get `check_url`, or search for a number of the kind that numbering plans keep for examples."""
        response = self._request.check()
        if response is not None:
            response.raise_for_failure()
            return f"{self._request.host}: the credentials work (HTTP {response.status})"
        response = self._request.send(number_values(_example(self._region)))
        self._found(response)
        return f"{self._request.host}: a search is answered (HTTP {response.status})"

    def _found(self, response: HttpResponse) -> list[Any]:
        """The items of the answer, whatever they are."""
        if response.status in self._not_found:
            return []
        response.raise_for_failure()
        if not response.body.strip():
            return []
        try:
            items = found(self._items, response.json())
        except Misfit as error:
            raise PermanentFailure(f"`items` {error}") from None
        except ValueError:
            raise PermanentFailure(_not_json(response)) from None
        if items is None or items == {}:
            return []
        if not isinstance(items, dict | list):
            raise PermanentFailure("`items` finds neither a list nor an object")
        return items if isinstance(items, list) else [items]

    def _has(self, item: Any, number: str) -> bool:
        """Whether the item's own numbers say that it is meant: searches of CRMs find what is merely similar."""
        if not self._fields.phone:
            return True
        written = self._texts("phone", self._fields.phone, item)
        return any(number in e164_numbers(text, self._region) for text in written)

    def _contact(self, item: Any) -> Contact | None:
        """The contact; its company stands for a missing name, and without both there is none."""
        fields = self._fields
        company = self._text("company", fields.company, item)
        name = " ".join(" ".join(self._texts("name", fields.name, item)).split())
        if not (name or company):
            return None
        return Contact(
            name=name or company or "",
            company=company if name else None,
            id=self._text("id", fields.id, item),
            note=self._text("note", fields.note, item),
        )

    def _text(self, field: str, expression: str | None, item: Any) -> str | None:
        return ", ".join(self._texts(field, [expression] if expression else [], item)) or None

    def _texts(self, field: str, expressions: Iterable[str], item: Any) -> list[str]:
        """What the expressions find. Failure policy: a field that does not fit is empty, and told once."""
        made = list[str]()
        for expression in expressions:
            try:
                made += texts(found(expression, item))
            except Misfit as error:
                if field not in self._told:
                    self._told.add(field)
                    self._log.warning("`fields.%s` %s", field, error)
        return made


def _not_json(response: HttpResponse) -> str:
    if len(response.body) >= LARGEST_ANSWER:
        return f"the answer is larger than {LARGEST_ANSWER // 1024} KiB: let the search give fewer"
    return "the answer is not JSON; check the address"


def _example(region: str) -> Number:
    """An example of the region's numbers."""
    example = phonenumbers.example_number(region) or phonenumbers.example_number("TR")
    assert example is not None  # noqa: S101  # the library has one for TR
    e164 = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
    return Number(raw=e164, e164=e164, display=e164, kind="external")
