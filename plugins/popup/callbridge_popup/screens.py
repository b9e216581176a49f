"""On whose screen a call is: pure, and right whatever order the events come in and however often they are repeated.

A hunt group rings at ten phones and one takes the call: its card stays there and leaves the other nine at once. What
the PBX does not say is filled in by what phones do: who answers last has the call, and a post that was overtaken on its
way opens nothing: a ringing that comes right after the answer, or after the end of the very ringing it tells of.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from bridge import ENDINGS, Call, Number

Stage = Literal["ringing", "talking", "ended", "gone"]
"""Of a card: `gone` has left the screen (answered by a colleague, or the phone stopped ringing)."""

LATE = 2.0
"""Seconds by which a post may be overtaken by the next one on its way from the PBX."""

STAMPED = 1.0
"""Seconds by which two of the PBX's stamps may differ and tell nothing: they are of whole seconds."""

VISIBLE = frozenset({"ringing", "talking"})


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of a call; `at` is when it was received, `stamp` when it happened by the PBX's own stamp, where it has
    one (seconds since 1970)."""

    event_id: str
    type: str
    at: float
    call: Call
    stamp: float | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A call at one extension: how it stands there, and since when (seconds since 1970); `overtook` says that its
    ringing ended before it was heard of, so that it may still be on its way."""

    stage: Stage
    since: float
    overtook: bool = field(default=False, compare=False)


@dataclass(slots=True)
class Screens:
    """One call on all screens."""

    call: Call
    heard_at: float = 0.0
    places: dict[str, Place] = field(default_factory=dict)
    answered_at: float | None = None
    ended: bool = False
    _answer_stamp: float | None = None
    _seen: set[str] = field(default_factory=set)

    @property
    def is_visible(self) -> bool:
        """Whether somebody has it on the screen."""
        return any(place.stage in VISIBLE for place in self.places.values())

    def take(self, event: Happening) -> set[str]:
        """Go on with an event; returns the extensions whose cards it changes."""
        if event.event_id in self._seen or (self.ended and event.type not in ENDINGS):
            return set()
        self._seen.add(event.event_id)
        before, shown_before = dict(self.places), _shown(self.call)
        self.call, self.heard_at = event.call, max(self.heard_at, event.at)
        if event.type == "call.ringing":
            self._ring(event)
        elif event.type == "call.answered":
            self._answer(event)
        elif event.type == "leg.ended":
            self._end_leg(event)
        elif event.type in ENDINGS:
            self._end(event)
        return {
            extension
            for extension, place in self.places.items()
            if place != before.get(extension) or (place.stage in VISIBLE and _shown(self.call) != shown_before)
        }

    def expire(self, ringing_before: float, talking_before: float) -> set[str]:
        """Take off what has been there for too long: its end was never heard of. Returns the extensions."""
        limits = {"ringing": ringing_before, "talking": talking_before}
        old = {
            extension
            for extension, place in self.places.items()
            if place.since < limits.get(place.stage, float("-inf"))
        }
        self._move(old, "gone", self.heard_at)
        return old

    def _ring(self, event: Happening) -> None:
        extension = _rung(event.call)
        if extension is None:
            return
        held = self.places.get(extension)
        if held is not None and held.overtook:
            self.places[extension] = replace(held, overtook=False)  # the next ringing here is a new one
        if not self._comes_late(event, held):
            self.places[extension] = Place("ringing", event.at)

    def _comes_late(self, event: Happening, held: Place | None) -> bool:
        """Whether a ringing was overtaken: by the answer of the call, or by what came after it at its extension."""
        if self.answered_at is not None and event.at - self.answered_at < LATE and not self._rang_after_answer(event):
            return True
        if held is None:
            return False
        just_left = event.at - held.since < LATE
        return held.stage == "talking" or (just_left and (held.overtook or held.stage == "ended"))

    def _rang_after_answer(self, event: Happening) -> bool:
        """Whether the PBX's own stamps say so: somebody has passed the call on."""
        if event.stamp is None or self._answer_stamp is None:
            return False
        return event.stamp - self._answer_stamp > STAMPED

    def _answer(self, event: Happening) -> None:
        extension = self._answering(event.call)
        if extension is None:
            return  # a menu or a queue took the call: the phones are still to ring
        self.answered_at, self._answer_stamp = event.at, event.stamp
        others = self.places.keys() - {extension}
        self._move((one for one in others if self.places[one].stage == "ringing"), "gone", event.at)
        self._move((one for one in others if self.places[one].stage == "talking"), "ended", event.at)
        if extension not in self.places or self.places[extension].stage != "talking":
            self.places[extension] = Place("talking", event.at)

    def _answering(self, call: Call) -> str | None:
        if call.direction == "outbound":
            return _rung(call)
        if call.connected_user:
            return call.connected_user
        rings = call.dialed_user in self.places and self.places[call.dialed_user].stage == "ringing"
        return call.dialed_user if rings else None

    def _end_leg(self, event: Happening) -> None:
        extension = event.call.dialed_user
        if extension is None:
            return
        held = self.places.get(extension)
        if held is None or held.stage == "ringing":
            self.places[extension] = Place("gone", event.at, overtook=held is None)
        # Right after the answer it is the other telephone of the same extension that stops ringing.
        elif held.stage == "talking" and event.at - held.since >= LATE:
            self.places[extension] = Place("ended", event.at)

    def _end(self, event: Happening) -> None:
        self.ended = True
        nobody = event.type != "call.completed"
        by = event.call.connected_user
        for extension, place in self.places.items():
            taken_elsewhere = not nobody and by not in (None, extension)
            # The phones of a group that nobody took stop ringing just before the call ends.
            just_left = place.stage == "gone" and nobody and event.at - place.since < LATE and self.answered_at is None
            if place.stage == "ringing" and taken_elsewhere:
                self.places[extension] = Place("gone", event.at)
            elif place.stage in VISIBLE or just_left:
                self.places[extension] = Place("ended", event.at)

    def _move(self, extensions: Iterable[str], stage: Stage, at: float) -> None:
        self.places.update(dict.fromkeys(list(extensions), Place(stage, at)))


def _shown(call: Call) -> tuple[object, ...]:
    """What a card shows of a call, besides how it stands at an extension."""
    return (call.direction, call.caller, call.called, call.outside_number, call.queue, call.connected_user)


def other_party(call: Call) -> Number | None:
    """Whom the agent speaks with: who is called, of an outbound call, else who calls."""
    return call.called if call.direction == "outbound" else call.caller


def _rung(call: Call) -> str | None:
    """Whose screen a ringing is for: of an outbound call that of the agent who calls."""
    if call.direction == "outbound":
        return call.caller.raw.strip() if call.caller.kind == "extension" else call.dialed_user
    if call.dialed_user is None and call.called is not None and call.called.kind == "extension":
        return call.called.raw.strip()
    return call.dialed_user
