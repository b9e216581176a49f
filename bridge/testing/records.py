"""Sample events, and what the core gives a connector."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, get_args

from bridge.hookspecs import ConnectorContext
from bridge.http import HttpClient
from bridge.model import EVENT_TYPES, Call, CallData, Event, Locale, Number, Trouble, TroubleData


def sample_event(event_type: str = "call.missed", **call: Any) -> Event:
    """An event of a call from (0212) 320 50 62 to extension 1001 through queue 200; `call` changes fields of it.

    Of a type `bridge.…` it is a trouble of the connector `sample`.
    """
    started_at = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    received_at = started_at.replace(second=21)
    if event_type.startswith("bridge."):
        trouble = Trouble(connector="sample", reason="the token is not valid any more", count=3)
        return Event(
            id=f"evt_{event_type}",
            type=event_type,
            timestamp=received_at,
            data=TroubleData(received_at=received_at, trouble=trouble),
        )
    state = event_type.removeprefix("call.") if event_type.startswith("call.") else "ringing"
    fields: dict[str, Any] = {
        "id": "1234",
        "direction": "inbound",
        "state": state,
        "caller": Number(raw="02123205062", e164="+902123205062", display="(0212) 320 50 62", kind="external"),
        "called": Number(raw="1001", e164=None, display="1001", kind="extension"),
        "outside_number": None,
        "dialed_user": "1001",
        "connected_user": None,
        "rang": ("1001",),
        "queue": "200",
        "started_at": started_at,
        "answered_at": None,
        "ended_at": started_at.replace(second=20),
        "talk_seconds": 0,
        "wait_seconds": 20,
        "queue_wait_seconds": 15,
        "hung_up_by": "caller",
        "cause": "ORIGINATOR_CANCEL",
        "cause_text": "Caller gave up",
        "recording_present": False,
        "failure_status": None,
        "failure_phrase": None,
    }
    return Event(
        id="evt_sample",
        type=event_type,
        timestamp=received_at,
        data=CallData(
            source="bulutsantralim",
            tenant="101",
            received_at=received_at,
            call=Call(**{**fields, **call}),
            raw={"event_type": "hangup", "call_uuid": "1234"},
        ),
    )


def sample_events() -> dict[str, Event]:
    """A sample event of each type there is, by type."""
    return {event_type: sample_event(event_type) for event_type in EVENT_TYPES}


def bare_event(event_type: str = "call.missed") -> Event:
    """An event of a call of which a PBX said hardly anything: every field that may be None or empty is."""
    nothing = Number(raw="", e164=None, display="Withheld number", kind="withheld")
    fields = {name: None for name, field in Call.model_fields.items() if type(None) in get_args(field.annotation)}
    event = sample_event(event_type, **{**fields, "caller": nothing, "rang": ()})
    return event.model_copy(update={"data": event.data.model_copy(update={"tenant": None, "raw": {}})})


def hostile_event(event_type: str = "call.missed") -> Event:
    """An event of a caller who sends markup, formulas, line breaks, and much of them, in place of a number."""
    name = "<!channel><script>alert(1)</script>{{7*7}}\r\nX-Evil: 1\u202e=cmd|' /C calc'!A0" + "x" * 5000
    evil = Number(raw=name, e164=None, display=name, kind="external")
    return sample_event(event_type, id=name, caller=evil, called=evil, queue=name, cause=name, cause_text=name)


def connector_context(name: str = "sample", *, locale: Locale = "en", timeout: float = 5.0) -> ConnectorContext:
    """What the core gives a connector; its `history`, `feed` and `directories` are in memory and know nothing."""
    log = logging.getLogger(f"callbridge.connectors.{name}")
    return ConnectorContext(name=name, locale=locale, timeout=timeout, http=HttpClient(timeout=timeout), log=log)
