"""Calls that have ended, and a connector as the core would make it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from callbridge_spreadsheet.connector import Spreadsheet
from callbridge_spreadsheet.settings import SpreadsheetSettings

from bridge import Contact, Delivery, DeliveryFailure, Locale, Outcome, Receipt
from bridge.testing import connector_context, sample_event

STARTED = datetime(2026, 11, 24, 14, 5, 7, tzinfo=timezone(timedelta(hours=3)))

Ended = Callable[..., Delivery]


def an_ended_call(
    call_id: str = "1234",
    kind: str = "call.missed",
    *,
    event_id: str | None = None,
    contact: Contact | None = None,
    tenant: str = "101",
    **call: Any,
) -> Delivery:
    """The delivery of the end of a call; keywords change the call."""
    times = {"started_at": STARTED, "ended_at": STARTED + timedelta(seconds=20)}
    event = sample_event(kind, **{"id": call_id, **times, **call}).with_contact(contact)
    data = event.data.model_copy(update={"tenant": tenant})
    event = event.model_copy(update={"id": event_id or f"evt_{call_id}", "data": data})
    return Delivery(id=f"dlv_{call_id}", connector="call_log", target="", attempt=1, event=event)


@pytest.fixture
def ended() -> Ended:
    return an_ended_call


class Log:
    """A connector with settings as they stand in the config."""

    def __init__(self, locale: Locale, timeout: float, settings: dict[str, Any]) -> None:
        read = SpreadsheetSettings.model_validate(settings)
        self.connector = Spreadsheet(read, connector_context("call_log", locale=locale, timeout=timeout))

    def add(self, *batch: Delivery) -> Sequence[Outcome]:
        """Deliver a batch, which has to go through."""
        outcomes = self.connector.bridge_deliver(batch)
        assert all(isinstance(outcome, Receipt) for outcome in outcomes), outcomes
        return outcomes

    def fail(self, *batch: Delivery) -> DeliveryFailure:
        """Deliver a batch, all of which fails in the same way."""
        outcomes = self.connector.bridge_deliver(batch)
        assert len({str(outcome) for outcome in outcomes}) == 1
        (outcome, *_) = outcomes
        assert isinstance(outcome, DeliveryFailure), outcome
        return outcome


@pytest.fixture
def connect() -> Callable[..., Log]:
    """Make a connector."""

    def make(locale: Locale = "en", timeout: float = 5.0, **settings: Any) -> Log:
        return Log(locale, timeout, settings)

    return make
