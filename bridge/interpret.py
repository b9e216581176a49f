"""From a reading to an event: what a post means for its call. Pure; the store runs it inside the transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bridge.calls import CallRecord, decide, describe, happened_at, is_repeat, merge
from bridge.ids import new_id
from bridge.model import CALL_ANSWERED, CALL_RINGING, Call, CallData, Event, Locale, Reading


@dataclass(frozen=True, slots=True)
class SourceView:
    """What is needed of a configured source to say what its readings mean."""

    name: str
    region: str
    timezone: ZoneInfo
    cause_text: Callable[[str, Locale], str | None]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A reading on its way into the store; `digest` stands for the form it came from."""

    source: SourceView
    reading: Reading
    digest: str
    received_at: datetime

    def moved(self, jump: float) -> Arrival:
        """The same after the clock has jumped by so many seconds."""
        return replace(self, received_at=self.received_at + timedelta(seconds=jump)) if jump else self


@dataclass(frozen=True, slots=True)
class Interpretation:
    """What an arrival means: the event, the record and the call it leaves, and what the PBX contradicts itself in.

    `late` events (a ringing or an answer after the ending) are kept and delivered to nobody.
    """

    event: Event
    record: CallRecord
    call: Call
    late: bool
    contradiction: bool


class Interpreter:
    """Interprets arrivals: `locale` is the language of the texts, `duplicate_window` is in seconds."""

    def __init__(self, locale: Locale, duplicate_window: float) -> None:
        self._locale = locale
        self._window = duplicate_window

    def interpret(self, record: CallRecord, arrival: Arrival) -> Interpretation | None:
        """What the arrival means for the call of `record`; None for a form that has been accepted before."""
        received_at = arrival.received_at.timestamp()
        if is_repeat(record, arrival.digest, received_at=received_at, window=self._window):
            return None
        decision = decide(record, arrival.reading)
        merged = merge(record, arrival.reading, decision.type, digest=arrival.digest, received_at=received_at)
        call = self._describe(merged, arrival)
        facts = arrival.reading.facts
        own = {"dialed_user": facts.dialed_user or None}
        if decision.type == CALL_ANSWERED and facts.connected_user:
            own["connected_user"] = facts.connected_user  # of a call that is passed on, who has it now
        seen = call.model_copy(update=own) if any(getattr(call, name) != value for name, value in own.items()) else call
        return Interpretation(
            event=self._event(arrival, decision.type, seen),
            record=merged,
            call=call,
            late=record.ended is not None and decision.type in (CALL_RINGING, CALL_ANSWERED),
            contradiction=decision.contradiction,
        )

    def _describe(self, record: CallRecord, arrival: Arrival) -> Call:
        source = arrival.source
        return describe(
            record,
            call_id=arrival.reading.call_id,
            region=source.region,
            locale=self._locale,
            timezone=source.timezone,
            cause_text=lambda cause: source.cause_text(cause, self._locale),
        )

    def _event(self, arrival: Arrival, event_type: str, call: Call) -> Event:
        received_at = arrival.received_at.astimezone(arrival.source.timezone)
        happened = happened_at(arrival.reading, event_type)
        return Event(
            id=new_id("evt", arrival.received_at.timestamp()),
            type=event_type,
            timestamp=happened.astimezone(arrival.source.timezone) if happened else received_at,
            data=CallData(
                source=arrival.source.name,
                tenant=arrival.reading.tenant,
                received_at=received_at,
                call=call,
                raw=dict(arrival.reading.raw),
            ),
        )
