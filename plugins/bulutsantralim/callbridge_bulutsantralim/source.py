"""Reads a post of the PBX: which fields it has, what they say, and how far they can be believed."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from bridge import Direction, Facts, Fields, Locale, Post, Reading, ReadingKind, SourceContext, Unreadable
from callbridge_bulutsantralim.causes import CAUSES

LONGEST_CALL_UUID = 200
"""Characters."""

LONGEST_TIME = 31 * 24 * 3600
"""Seconds: nobody talks or waits longer, so a larger number is a fault of the sender."""

KINDS: dict[str, ReadingKind] = {
    "ringing": "ringing",
    "answer": "answered",
    "hangup": "hangup",
    "user_hangup": "leg_ended",
}
DIRECTIONS: dict[str, Direction] = {
    "inbound": "inbound",
    "outbound": "outbound",
    "internal": "internal",
}
BOOLEANS = dict.fromkeys(("true", "t", "1", "yes"), True) | dict.fromkeys(("false", "f", "0", "no"), False)
TAKEN_OVER = frozenset({"LOSE_RACE", "PICKED_OFF", "ATTENDED_TRANSFER"})

_STAMP = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[ T](?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?)"
    r"(?:\s*(?P<utc>Z|UTC)|\s*(?P<sign>[+-]|\s)(?P<hours>[0-9]{2}):?(?P<minutes>[0-9]{2}))?"
)
_CLOCK = re.compile(r"([0-9]{1,3}):([0-5][0-9]):([0-5][0-9])")


class Settings(BaseModel):
    """The keys of `[sources.bulutsantralim]` that are this source's own.

    `answered_means` is what `answered=true` says on this PBX: somebody `accepted` the call, or it was `missed`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    answered_means: Literal["accepted", "missed"] = "accepted"


class Bulutsantralim:
    """The source: one per configured PBX."""

    def __init__(self, settings: Settings, context: SourceContext) -> None:
        self._answered_means = settings.answered_means
        self._context = context

    def read(self, post: Post) -> Reading | None:
        """What the post says; None for the probe the PBX sends when its URL is saved. Raises `Unreadable`."""
        if _is_probe(post.fields):
            return None
        form = _Form(post.fields, self._context)
        call_id, event_type = _identify(form)
        cause = _cause(form)
        return Reading(
            kind=KINDS.get(event_type.lower(), "other"),
            call_id=call_id,
            tenant=form.text("domain_id"),
            facts=_facts(form, cause),
            raw=post.fields,
            connected=_connected(form),
            flag=self._flag(form),
            taken_over=cause in TAKEN_OVER,
            cleared=cause == "NORMAL_CLEARING",
            flag_hint=self._flag_hint(),
        )

    def cause_text(self, cause: str, locale: Locale) -> str | None:
        """The vendor's label of a cause, or its English meaning; None for a cause that is not in the vendor's list."""
        texts = CAUSES.get(cause)
        return texts[locale] if texts else None

    def _flag(self, form: _Form) -> bool | None:
        """The PBX's word for "was answered". The vendor has given `answered` both meanings over the years."""
        said = form.boolean("answered")
        return said if said is None or self._answered_means == "accepted" else not said

    def _flag_hint(self) -> str:
        other = "missed" if self._answered_means == "accepted" else "accepted"
        return (
            f"the field `answered` contradicts what the calls show: "
            f'set sources.{self._context.name}.answered_means = "{other}"'
        )


class _Form:
    """The fields of one post. What cannot be read is None: one bad field never costs the call."""

    def __init__(self, fields: Fields, context: SourceContext) -> None:
        self._fields = fields
        self._timezone = context.timezone

    def sent_empty(self, name: str) -> bool:
        return name in self._fields and self.text(name) is None

    def as_came(self, name: str) -> str | None:
        """The first value of the field that is not blank."""
        value = self._fields.get(name)
        if isinstance(value, list):
            return next((each for each in value if each.strip()), None)
        return value if value and value.strip() else None

    def text(self, name: str) -> str | None:
        value = self.as_came(name)
        return value.strip() if value else None

    def boolean(self, name: str) -> bool | None:
        return BOOLEANS.get((self.text(name) or "").lower())

    def seconds(self, name: str) -> int | None:
        value = self.text(name) or ""
        if clock := _CLOCK.fullmatch(value):
            hours, minutes, seconds = (int(part) for part in clock.groups())
            total = hours * 3600 + minutes * 60 + seconds
        elif re.fullmatch(r"[0-9]{1,9}", value):
            total = int(value)
        else:
            return None
        return total if total <= LONGEST_TIME else None

    def stamp(self, name: str) -> datetime | None:
        """A moment in the PBX's zone, which is meant where the text names none."""
        match = _STAMP.fullmatch(self.text(name) or "")
        if match is None or not 2000 <= int(match["date"][:4]) <= 2100:
            return None
        try:
            moment = datetime.fromisoformat(f"{match['date']}T{match['time']}{_offset(match)}")
        except ValueError:
            return None
        return moment.astimezone(self._timezone) if moment.tzinfo else moment.replace(tzinfo=self._timezone)


def _offset(stamp: re.Match[str]) -> str:
    if stamp["utc"]:
        return "Z"
    if stamp["hours"] is None:
        return ""
    # Form decoding turns the plus of an unencoded "+0300" into a space.
    sign = "-" if stamp["sign"] == "-" else "+"
    return f"{sign}{stamp['hours']}:{stamp['minutes']}"


def _is_probe(fields: Fields) -> bool:
    names = {"".join(name.split()) for name in fields}
    return names <= {"", "{}"} and not any("".join(value).strip() for value in fields.values())


def _identify(form: _Form) -> tuple[str, str]:
    """The call's id and the event type, without which there is no event."""
    call_uuid, event_type = form.text("call_uuid"), form.text("event_type")
    missing = [name for name, value in (("call_uuid", call_uuid), ("event_type", event_type)) if value is None]
    if call_uuid is None or event_type is None:
        raise Unreadable(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    if len(call_uuid) > LONGEST_CALL_UUID:
        raise Unreadable(f"call_uuid is longer than {LONGEST_CALL_UUID} characters")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in call_uuid):
        raise Unreadable("call_uuid contains control characters")
    return call_uuid, event_type


def _facts(form: _Form, cause: str | None) -> Facts:
    return Facts(
        direction=DIRECTIONS.get((form.text("direction") or "").lower()),
        caller=form.as_came("caller_id_number"),
        called=form.as_came("destination_number"),
        outside_number=form.as_came("outbound_caller_id_number"),
        dialed_user=form.text("dialed_user"),
        connected_user=form.text("connected_user"),
        queue=form.text("queue"),
        started_at=form.stamp("start_stamp"),
        answered_at=form.stamp("answer_stamp"),
        ended_at=form.stamp("end_stamp"),
        duration=form.seconds("duration"),
        queue_wait=form.seconds("queue_wait_duration"),
        hung_up_by=_hung_up_by(form),
        cause=cause,
        recording_present=form.boolean("recording_present"),
        failure_status=form.text("failure_status"),
        failure_phrase=form.text("failure_phrase"),
    )


def _cause(form: _Form) -> str | None:
    """The PBX's name of the cause, in the vendor's spelling where it is one of the vendor's."""
    said = form.text("hangup_cause")
    return said.upper() if said and said.upper() in CAUSES else said


def _hung_up_by(form: _Form) -> str | None:
    said = form.text("sip_hangup_disposition")
    return said.lower() if said and said.lower() in ("caller", "callee") else said


def _connected(form: _Form) -> bool | None:
    """Whether a person took the call, as far as this form shows it."""
    if form.text("connected_user"):
        return True
    # An answer without a person is a menu's or a queue's, and says nothing.
    return False if form.sent_empty("connected_user") and form.sent_empty("answer_stamp") else None
