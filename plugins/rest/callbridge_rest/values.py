"""What placeholders and templates can name: the number, the call, the contact."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import phonenumbers

from bridge import Call, Contact, Event, Number

NUMBER_NAMES = ("e164", "digits", "national", "nsn", "raw", "display")
EVENT_NAMES = (
    *("event_id", "event_type", "call_id", "direction", "state", "queue", "extension"),
    *("from_number", "to_number", "started_at", "ended_at", "talk_seconds", "wait_seconds"),
    *NUMBER_NAMES,
    *("contact_id", "contact_name", "contact_company"),
)


def number_values(number: Number | None) -> dict[str, str | None]:
    """The ways to write a number; None for those it has not.

    `digits` is E.164 without the plus (902123205062), `national` what is dialled at home (02123205062), `nsn` the
    national significant number (2123205062).
    """
    if number is None:
        return dict.fromkeys(NUMBER_NAMES)
    values = dict[str, str | None].fromkeys(NUMBER_NAMES) | {"raw": number.raw or None, "display": number.display}
    if number.e164 is not None:
        parsed = phonenumbers.parse(number.e164)
        national = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
        values["e164"], values["digits"] = number.e164, number.e164.removeprefix("+")
        values["national"] = re.sub(r"[^0-9]", "", national)
        values["nsn"] = phonenumbers.national_significant_number(parsed)
    return values


def event_values(event: Event, contact: Contact | None) -> Mapping[str, Any]:
    """What can be said of an event, by name: None for what is not known.

    `event` and `contact` are the JSON forms, times are texts of ISO 8601. The ways to write a number are those of the
    outside party; `from_number` and `to_number` are in E.164 where they can be.
    """
    values: dict[str, Any] = dict.fromkeys(EVENT_NAMES)
    values |= {"event": event.model_dump(mode="json"), "contact": contact and contact.model_dump(mode="json")}
    values |= {"event_id": event.id, "event_type": event.type}
    if event.call is not None:
        values |= _call_values(event.call, event.timestamp)
    if contact is not None:
        values |= {"contact_id": contact.id, "contact_name": contact.name, "contact_company": contact.company}
    return values


def _call_values(call: Call, happened: datetime) -> Mapping[str, Any]:
    return {
        "call_id": call.id,
        "direction": call.direction,
        "state": call.state,
        "queue": call.queue,
        "extension": call.connected_user or call.dialed_user,
        "from_number": call.caller.e164 or call.caller.raw,
        "to_number": call.called and (call.called.e164 or call.called.raw),
        "started_at": (call.started_at or happened).isoformat(),
        "ended_at": (call.ended_at or happened).isoformat(),
        "talk_seconds": call.talk_seconds,
        "wait_seconds": call.wait_seconds,
        **number_values(call.called if call.direction == "outbound" else call.caller),
    }
