"""The calls of the moment, as the feed tells of them: every process reads the same feed and so has the same board."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from bridge import Call, CallData, Contact, Event
from callbridge_popup.cards import CardMaker, Found, read_found
from callbridge_popup.screens import VISIBLE, Happening, Screens
from callbridge_popup.settings import PopupSettings

FORGET_AFTER = 60.0
"""Seconds a call is remembered that nobody has on the screen any more: what comes late then finds it ended."""

Shown = tuple[int, dict[str, Any]]
"""A card, and the id of the feed's item that made it so."""


def event_item(event: Event, data: CallData) -> dict[str, Any]:
    """What the feed says of an event of a call."""
    return {
        "call": call_key(data),
        "event": event.id,
        "type": event.type,
        "at": data.received_at.timestamp(),
        # Without a stamp of its own an event has happened when it was received.
        "stamp": event.timestamp.timestamp() if event.timestamp != data.received_at else None,
        "as": data.call.model_dump(mode="json"),
    }


def found_item(key: str, contacts: Iterable[Contact] | None, history: Iterable[Call]) -> dict[str, Any]:
    """What the feed says of the number of a call; `contacts` is None where not all directories have answered."""
    return {
        "call": key,
        "contacts": None if contacts is None else [contact.model_dump(mode="json") for contact in contacts],
        "history": [call.model_dump(mode="json") for call in history],
    }


def call_key(data: CallData) -> str:
    """What names a call: ids are unique within a PBX."""
    return json.dumps([data.source, data.tenant or "", data.call.id])


class Board:
    """Not safe for several threads: its owner locks."""

    def __init__(self, settings: PopupSettings) -> None:
        self._settings = settings
        self._cards = CardMaker(settings)
        self._calls: dict[str, Screens] = {}
        self._found: dict[str, Found] = {}
        self._told: dict[tuple[str, str], int] = {}

    def take(self, item_id: int, item: Mapping[str, Any], now: float) -> dict[str, Shown]:
        """Go on with an item of the feed; returns the cards it changes, by extension."""
        key = item["call"]
        if "contacts" in item:
            if key not in self._calls:
                return {}
            found, held = read_found(item["contacts"], item["history"]), self._found.get(key)
            # Another process may have been told who it is before the directories went down.
            self._found[key] = replace(found, contacts=held.contacts) if held and found.contacts is None else found
            places = self._calls[key].places.items()
            changed = {extension for extension, place in places if place.stage in VISIBLE}
        else:
            call = Call.model_validate(item["as"])
            event = Happening(item["event"], item["type"], item["at"], call, item.get("stamp"))
            changed = self._calls.setdefault(key, Screens(event.call)).take(event)
        return self._changed(item_id, key, changed, now)

    def expire(self, item_id: int, now: float) -> list[dict[str, Shown]]:
        """Take off what was never ended, forget what is long over; returns the cards that changed, call by call."""
        changes = []
        for key, screens in list(self._calls.items()):
            if screens.is_visible:
                gone = screens.expire(now - self._settings.ringing_for, now - self._settings.talking_for)
                if gone:
                    changes.append(self._changed(item_id, key, gone, now))
            elif screens.heard_at < now - FORGET_AFTER:
                self._forget(key)
        return changes

    def cards(self, extensions: Collection[str], after: int, now: float) -> list[Shown]:
        """The cards at these extensions, the oldest first; and, as gone, those that have left the screens since the
        item `after`."""
        shown = []
        for (key, extension), told in sorted(self._told.items(), key=lambda one: one[1]):
            place = self._calls[key].places[extension]
            if extension in extensions and (place.stage in VISIBLE or 0 < after < told):
                card = self._card(key, extension, now)
                shown.append((told, card if place.stage in VISIBLE else {**card, "state": "gone"}))
        return shown

    def _changed(self, item_id: int, key: str, extensions: Iterable[str], now: float) -> dict[str, Shown]:
        changed = {}
        for extension in extensions:
            self._told[key, extension] = item_id
            changed[extension] = (item_id, self._card(key, extension, now))
        return changed

    def _card(self, key: str, extension: str, now: float) -> dict[str, Any]:
        screens = self._calls[key]
        return self._cards.make(key, extension, screens.call, screens.places[extension], self._found.get(key), now)

    def _forget(self, key: str) -> None:
        for extension in self._calls.pop(key).places:
            self._told.pop((key, extension), None)
        self._found.pop(key, None)
