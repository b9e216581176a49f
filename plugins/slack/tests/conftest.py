"""Sample events, and a connector as the core would make it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from callbridge_slack.connector import SlackConnector
from callbridge_slack.settings import SlackSettings

from bridge import Call, CallData, ConnectorContext, Contact, Delivery, Event, HttpClient, Number, Trouble, TroubleData

STARTED = datetime(2026, 11, 24, 14, 5, tzinfo=timezone(timedelta(hours=3)))
CALLER = Number(raw="02123205062", e164="+902123205062", display="(0212) 320 50 62", kind="external")

CallEvent = Callable[..., Event]


@pytest.fixture
def call_event() -> CallEvent:
    """A call event of a type: a caller gave up in queue 200 after 20 s; keywords change the call."""

    def make(kind: str = "call.missed", contact: Contact | None = None, **changes: Any) -> Event:
        call = Call(
            id="1234",
            direction="inbound",
            state="missed",
            caller=CALLER,
            called=Number(raw="1001", e164=None, display="1001", kind="extension"),
            outside_number=None,
            dialed_user="1001",
            connected_user=None,
            rang=("1001", "1002"),
            queue="200",
            started_at=STARTED,
            answered_at=None,
            ended_at=STARTED + timedelta(seconds=20),
            talk_seconds=0,
            wait_seconds=20,
            queue_wait_seconds=15,
            hung_up_by="caller",
            cause="ORIGINATOR_CANCEL",
            cause_text="Vazgeçildi",
            recording_present=False,
            failure_status=None,
            failure_phrase=None,
        ).model_copy(update=changes)
        data = CallData(
            source="bulutsantralim", tenant="101", received_at=STARTED, call=call, contact=contact, raw={"queue": "200"}
        )
        return Event(id="evt_01", type=kind, timestamp=STARTED + timedelta(seconds=20), data=data)

    return make


@pytest.fixture
def trouble_event() -> CallEvent:
    """A trouble of the bridge itself."""

    def make(kind: str, **trouble: Any) -> Event:
        data = TroubleData(received_at=datetime(2026, 11, 24, 9, 5, tzinfo=UTC), trouble=Trouble(**trouble))
        return Event(id="evt_02", type=kind, timestamp=data.received_at, data=data)

    return make


@pytest.fixture
def http() -> Iterator[HttpClient]:
    client = HttpClient(timeout=5.0)
    yield client
    client.close()


@pytest.fixture
def connect(http: HttpClient) -> Callable[..., SlackConnector]:
    """Make a connector of settings as they stand in the config."""
    context = ConnectorContext(name="to_slack", locale="tr", timeout=5.0, http=http, log=logging.getLogger("to_slack"))
    return lambda **settings: SlackConnector(SlackSettings.model_validate(settings), context)


@pytest.fixture
def delivery(call_event: CallEvent) -> Delivery:
    """The first try of a missed call."""
    return Delivery(id="dlv_1", connector="to_slack", target="", attempt=1, event=call_event())
