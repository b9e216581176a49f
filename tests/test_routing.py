"""Whom an event is owed to: `on` and `when` of the config."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.hookspecs import ConnectorKind
from bridge.model import CALL_MISSED, CONNECTOR_PAUSED, EVENT_TYPES, Event, Number, Trouble, TroubleData
from bridge.plugins import LoadedConnector
from bridge.routing import Router
from bridge.settings import ConnectorSettings
from bridge.testing import sample_event

NUMBER = Number(raw="0212 320 50 62", e164="+902123205062", display="(0212) 320 50 62", kind="external")


def owed(
    event: Event, *, name: str = "chat", targets: tuple[str, ...] = ("",), **settings: Any
) -> list[tuple[str, str]]:
    """What one connector with these settings is owed of an event."""
    settings = {"kind": "chat", "on": ["*"], **settings}
    one = LoadedConnector(name, ConnectorSettings(**settings), targets=targets)
    return Router([one], {"bulutsantralim": "TR"}).owed(event)


def is_owed(event: Event, **settings: Any) -> bool:
    return owed(event, **settings) == [("chat", "")]


def trouble(connector: str | None) -> Event:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    data = TroubleData(received_at=at, trouble=Trouble(connector=connector, reason="HTTP 401"))
    return Event(id="evt_1", type=CONNECTOR_PAUSED, timestamp=at, data=data)


@pytest.mark.parametrize(
    ("on", "types"),
    [
        (["call.missed"], {"call.missed"}),
        (["call.*"], {"call.ringing", "call.answered", "call.completed", "call.missed", "call.unanswered"}),
        (["*"], set(EVENT_TYPES)),
        (["bridge.*", "other"], {"bridge.connector_paused", "bridge.delivery_dead", "bridge.source_silent", "other"}),
    ],
)
def test_on_names_types_or_patterns(on: list[str], types: set[str]) -> None:
    assert {each for each in EVENT_TYPES if is_owed(sample_event(each), on=on)} == types


def test_without_conditions_every_call_is_owed() -> None:
    empty: dict[str, list[str]] = {"queue": [], "direction": [], "tenant": [], "called": [], "dialed_user": []}

    assert is_owed(sample_event())
    assert is_owed(sample_event(), when=empty)
    assert is_owed(sample_event(queue=None, direction=None, called=None, dialed_user=None, rang=()), when=empty)


@pytest.mark.parametrize(
    ("when", "wanted"),
    [
        ({"queue": ["200", "201"]}, True),
        ({"queue": ["201"]}, False),
        ({"direction": ["inbound"]}, True),
        ({"direction": ["outbound", "internal"]}, False),
        ({"tenant": ["101"]}, True),
        ({"tenant": ["102"]}, False),
        ({"called": ["1001"]}, True),
        ({"called": ["1002"]}, False),
        ({"dialed_user": ["1001"]}, True),
        ({"dialed_user": ["1002"]}, False),
        ({"queue": ["200"], "direction": ["outbound"]}, False),
        ({"queue": ["200"], "direction": ["inbound"], "tenant": ["101"]}, True),
    ],
)
def test_all_conditions_must_hold_and_any_value_of_each(when: dict[str, list[str]], wanted: bool) -> None:
    assert is_owed(sample_event(), when=when) is wanted


@pytest.mark.parametrize(
    "spelling", ["02123205062", "0 (212) 320 50 62", "+90 212 320 50 62", "902123205062", "2123205062"]
)
def test_numbers_compare_whatever_the_spelling(spelling: str) -> None:
    assert is_owed(sample_event(called=NUMBER), when={"called": [spelling]})


def test_dialed_user_matches_any_extension_that_rang() -> None:
    event = sample_event(rang=("1001", "1002", "1003"), dialed_user="1003")

    assert [is_owed(event, when={"dialed_user": [one]}) for one in ("1001", "1002", "1003", "1004")] == [
        True,
        True,
        True,
        False,
    ]


def test_every_target_of_a_connector_is_owed_the_event() -> None:
    assert owed(sample_event(), targets=("a", "b")) == [("chat", "a"), ("chat", "b")]


def test_connectors_are_owed_in_the_order_of_the_config() -> None:
    names = ["zulu", "alpha", "mike"]
    connectors = [LoadedConnector(name, ConnectorSettings(kind="chat", on=["*"])) for name in names]

    assert [name for name, _ in Router(connectors, {}).owed(sample_event())] == names


def test_a_failed_connector_is_owed_its_events_too() -> None:
    broken = LoadedConnector("chat", ConnectorSettings(kind="chat", on=["call.missed"]), error="no such plugin")

    assert Router([broken], {}).owed(sample_event(CALL_MISSED)) == [("chat", "")]


def test_nobody_is_told_of_his_own_trouble() -> None:
    assert not is_owed(trouble("chat"), on=["bridge.*"])
    assert is_owed(trouble("crm"), on=["bridge.*"])
    assert is_owed(trouble(None), on=["bridge.*"])


def test_conditions_speak_of_calls_and_keep_back_no_trouble() -> None:
    assert is_owed(trouble("crm"), on=["bridge.*"], when={"queue": ["200"], "direction": ["outbound"]})


# --- a kind's defaults and the config ------------------------------------------------------------------------------

KIND = ConnectorKind(
    name="chat",
    create=lambda _options, _context: object(),
    max_age=60.0,
    timeout=3.0,
    concurrency=2,
    rate="5/s",
    retry_schedule=(1, 2),
    order_hold=7.0,
    max_batch=9,
)


def test_the_kind_s_defaults_hold_where_the_config_says_nothing() -> None:
    policy = LoadedConnector("chat", ConnectorSettings(kind="chat", on=["*"]), KIND).policy

    assert (policy.max_age, policy.timeout, policy.concurrency, policy.rate) == (60.0, 3.0, 2, "5/s")
    assert (policy.order_hold, policy.max_batch) == (7.0, 9)
    assert 2 <= (policy.schedule.wait(1, None) or 0) <= 2.4
    assert policy.schedule.wait(2, None) is None
    assert (policy.breaker.failures, policy.breaker.cooldown) == (5, (30.0, 60.0, 120.0, 300.0))


def test_the_config_goes_over_the_kind_s_defaults() -> None:
    settings = ConnectorSettings(
        kind="chat",
        on=["*"],
        max_age="2h",
        timeout="1s",
        concurrency=8,
        rate="1/m",
        order_hold=0,
        retry={"schedule": [], "jitter": 0},
        breaker={"failures": 0},
    )
    policy = LoadedConnector("chat", settings, KIND).policy

    assert (policy.max_age, policy.timeout, policy.concurrency, policy.rate) == (7200.0, 1.0, 8, "1/m")
    assert (policy.order_hold, policy.breaker.failures) == (0.0, 0)
    assert policy.schedule.wait(0, None) is None
