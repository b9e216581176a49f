"""Sample events, and a connector as the core would make it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from callbridge_webhook.connector import WebhookConnector
from callbridge_webhook.settings import WebhookSettings

from bridge import Call, CallData, ConnectorContext, Delivery, Event, HttpClient, Number, Trouble, TroubleData

STARTED = datetime(2016, 1, 1, tzinfo=timezone(timedelta(hours=2)))


@pytest.fixture
def missed() -> Event:
    ended = STARTED + timedelta(seconds=20)
    call = Call(
        id="1234",
        direction="inbound",
        state="missed",
        caller=Number(raw="02123205062", e164="+902123205062", display="(0212) 320 50 62", kind="external"),
        called=Number(raw="1001", e164=None, display="1001", kind="extension"),
        outside_number=None,
        dialed_user="1001",
        connected_user=None,
        rang=("1001",),
        queue="200",
        started_at=STARTED,
        answered_at=None,
        ended_at=ended,
        talk_seconds=0,
        wait_seconds=20,
        queue_wait_seconds=15,
        hung_up_by="caller",
        cause="ORIGINATOR_CANCEL",
        cause_text="Vazgeçildi",
        recording_present=False,
        failure_status=None,
        failure_phrase=None,
    )
    raw: dict[str, str | list[str]] = {"event_type": "hangup", "call_uuid": "1234", "x": ["1", "ğ<&>"]}
    data = CallData(source="bulutsantralim", tenant="10/1", received_at=ended, call=call, raw=raw)
    return Event(id="evt_01", type="call.missed", timestamp=ended, data=data)


@pytest.fixture
def paused() -> Event:
    trouble = Trouble(connector="missed_to_slack", reason="the token was revoked")
    data = TroubleData(received_at=STARTED, trouble=trouble)
    return Event(id="evt_02", type="bridge.connector_paused", timestamp=STARTED, data=data)


@pytest.fixture
def http() -> Iterator[HttpClient]:
    client = HttpClient(timeout=5.0)
    yield client
    client.close()


@pytest.fixture
def connect(http: HttpClient) -> Callable[..., WebhookConnector]:
    """Make a connector of settings as they stand in the config."""
    context = ConnectorContext(
        name="to_crm", locale="tr", timeout=5.0, http=http, log=logging.getLogger("callbridge.to_crm")
    )

    def make(**settings: Any) -> WebhookConnector:
        return WebhookConnector(WebhookSettings.model_validate(settings), context)

    return make


@pytest.fixture
def delivery() -> Callable[[Event], Delivery]:
    """The first try of an event."""
    return lambda event: Delivery(id="dlv_1", connector="to_crm", target="", attempt=1, event=event)
