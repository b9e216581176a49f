"""What a connector sends, what of it callers cannot break, and what the answers mean."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import callbridge_rest
import pytest
import responses
from callbridge_rest.connector import RestConnector

from bridge import (
    Contact,
    Delivery,
    DeliveryFailure,
    Event,
    Misconfigured,
    Number,
    PermanentFailure,
    Receipt,
    Skip,
    TargetGone,
    TemporaryFailure,
    Trouble,
    TroubleData,
)
from bridge.testing import sample_event

URL = "https://crm.example.com/calls"
AYSE = Contact(name="Ayşe Yılmaz", company="Örnek", id="7", directory="crm")
HOSTILE = '"}, "admin": true, {{ 7 * 7 }} {% raw %} \\ \u2028 \r\n <b>{e164}'

Make = Callable[..., RestConnector]


def delivery(event: Event | None = None, contact: Contact | None = None) -> Delivery:
    event = (event or sample_event()).with_contact(contact)
    return Delivery(id="dlv_1", connector="crm_log", target="", attempt=1, event=event)


def sent() -> Any:
    body = responses.calls[-1].request.body
    assert isinstance(body, bytes)
    return json.loads(body)


@responses.activate
def test_a_call_is_logged_and_the_receipt_is_what_was_made(connector: Make) -> None:
    responses.post(f"{URL}/7", json={"data": {"id": 512}}, status=201)
    body = {"who": "{{ contact_name or display }}", "text": "{{ event.type }}: {{ display }}", "n": 3, "yes": True}
    made = connector(
        url=URL + "/{contact_id}", headers={"Idempotency-Key": "{event_id}"}, body=body, receipt="data.id"
    ).bridge_deliver(delivery(contact=AYSE))

    assert made == Receipt(text="512", status=201, answer='{"data": {"id": 512}}')
    assert sent() == {"who": "Ayşe Yılmaz", "text": "call.missed: (0212) 320 50 62", "n": 3, "yes": True}
    headers = responses.calls[0].request.headers
    assert (headers["Idempotency-Key"], headers["Content-Type"]) == ("evt_sample", "application/json")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ contact_id }}", "7"),
        ("{{ contact_id | int }}", 7),
        ("{{ (talk_seconds or 0) * 1000 }}", 0),
        ("{{ event.data.call.connected_user }}", None),
        ("{{ event.data.call.rang }}", ["1001"]),
        ("{{ event.data.call.recording_present }}", False),
        ("{{ {'missed': 'NO_ANSWER'}[state] }}", "NO_ANSWER"),
        ("{{ 'IN' if direction == 'inbound' else 'OUT' }}", "IN"),
        ("[{{ event.data.call.connected_user }}]", "[]"),
        ("{{ queue }}/{{ extension }}", "200/1001"),
        ("{% if queue %}Q{{ queue }}{% endif %}", "Q200"),
        ("{{ started_at | utc }}", "2026-11-24T09:00:00Z"),
        ("{{ ended_at | utc('%d.%m.%Y %H:%M:%S') }}", "24.11.2026 09:00:20"),
        ("{{ (started_at | unix) * 1000 }}", 1795510800000),
        ("{{ event.data.call.answered_at | utc }}", None),
        ("{{ event.data.call.answered_at | unix }}", None),
        ("{{ contact.company }} & {{ from_number }}>{{ to_number }}", "Örnek & +902123205062>1001"),
        ("no template: { 5 }", "no template: { 5 }"),
    ],
)
@responses.activate
def test_a_text_that_is_one_expression_becomes_what_that_is(text: str, value: object, connector: Make) -> None:
    responses.post(URL)
    connector(url=URL, body={"x": [text]}).bridge_deliver(delivery(contact=AYSE))
    assert sent() == {"x": [value]}


@responses.activate
def test_nothing_in_a_name_breaks_the_body_the_url_or_the_headers(connector: Make) -> None:
    responses.post(re.compile(r"https://crm\.example\.com/.*"))
    number = Number(raw=HOSTILE, e164=None, display=HOSTILE, kind="external")
    contact = AYSE.model_copy(update={"name": HOSTILE, "id": "../../users?admin=1#\n"})
    made = connector(
        url=URL + "/{contact_id}?n={contact_name}",
        headers={"X-Name": "{contact_name}"},
        body={"one": "{{ contact_name }}", "within": "Call: {{ display }}", "event": "{{ event }}"},
    ).bridge_deliver(delivery(sample_event(caller=number), contact))
    request = responses.calls[0].request
    name = request.headers["X-Name"]

    assert isinstance(made, Receipt)
    assert (sent()["one"], sent()["within"]) == (HOSTILE, f"Call: {HOSTILE}")
    assert sent()["event"]["data"]["call"]["caller"]["raw"] == HOSTILE
    assert str(request.url).startswith("https://crm.example.com/calls/..%2F..%2Fusers%3Fadmin%3D1%23%0A?n=%22%7D%2C")
    assert name.isascii()
    assert name.isprintable()
    assert unquote(name) == HOSTILE


@pytest.mark.parametrize("value", [None, "", ".", ".."])
def test_a_url_without_its_value_is_not_called(value: str | None, connector: Make) -> None:
    contact = AYSE.model_copy(update={"id": value})
    made = connector(url=URL + "/{contact_id}/calls").bridge_deliver(delivery(contact=contact))
    assert made == Skip("there is no contact_id for `url`")


@pytest.mark.parametrize("contact", [None, Contact(name="Ayşe"), AYSE.model_copy(update={"directory": "csv"})])
def test_who_is_unknown_to_the_crm_is_skipped_if_wanted(contact: Contact | None, connector: Make) -> None:
    made = connector(url=URL, when_unknown="skip", directory="crm").bridge_deliver(delivery(contact=contact))
    assert made == Skip("nobody is known with an id of the CRM")


@responses.activate
def test_who_is_unknown_is_sent_otherwise_and_an_id_of_another_directory_is_not(connector: Make) -> None:
    responses.post(URL)
    log = connector(url=URL, body={"id": "{{ contact_id }}", "name": "{{ contact_name or '?' }}"}, directory="crm")
    for contact in (None, AYSE.model_copy(update={"directory": "csv"})):
        log.bridge_deliver(delivery(contact=contact))
        assert sent() == {"id": None, "name": "?"}
    log.bridge_deliver(delivery(contact=AYSE))
    assert sent() == {"id": "7", "name": "Ayşe Yılmaz"}


@responses.activate
def test_the_outside_party_of_an_outbound_call_is_who_was_called(connector: Make) -> None:
    responses.post(URL)
    called = Number(raw="05321234567", e164="+905321234567", display="0532 123 45 67", kind="external")
    caller = Number(raw="1001", e164=None, display="1001", kind="extension")
    body = {"who": "{{ national }}", "from": "{{ from_number }}", "to": "{{ to_number }}"}
    event = sample_event("call.unanswered", direction="outbound", caller=caller, called=called)
    connector(url=URL, body=body).bridge_deliver(delivery(event))
    assert sent() == {"who": "05321234567", "from": "1001", "to": "+905321234567"}


@responses.activate
def test_a_trouble_of_the_bridge_can_be_sent_and_names_no_call(connector: Make) -> None:
    responses.post(URL)
    moment = sample_event().timestamp
    data = TroubleData(received_at=moment, trouble=Trouble(connector="x", reason="the token was revoked"))
    event = Event(id="evt_2", type="bridge.connector_paused", timestamp=moment, data=data)
    connector(url=URL, body={"why": "{{ event.data.trouble.reason }}", "call": "{{ call_id }}"}).bridge_deliver(
        delivery(event)
    )
    assert sent() == {"why": "the token was revoked", "call": None}
    assert connector(url=URL + "?p={e164}").bridge_deliver(delivery(event)) == Skip("there is no e164 for `url`")


@pytest.mark.parametrize(
    "text", ["{{ contact.id }}", "x {{ nothing }}", "{{ nothing }}", "{{ 1 / 0 }}", "{{ 'a' + 1 }}"]
)
def test_a_template_that_fails_kills_the_delivery_and_names_the_place(text: str, connector: Make) -> None:
    with pytest.raises(PermanentFailure, match=r"`body`, a\[1\]\.b: .*line 1"):
        connector(url=URL, body={"a": [1, {"b": text}]}).bridge_deliver(delivery())


@pytest.mark.parametrize("text", ["{{ event.__class__.__mro__ }}", "{{ event.update({}) }}", "{{ ''.__class__ }}"])
def test_a_template_cannot_leave_its_sandbox(text: str, connector: Make) -> None:
    with pytest.raises(PermanentFailure):
        connector(url=URL, body={"a": text}).bridge_deliver(delivery())


def test_a_body_without_end_fails(connector: Make) -> None:
    text = "{% for a in range(90000) %}0123456789{% endfor %}"
    with pytest.raises(PermanentFailure, match="more than 262144 characters"):
        connector(url=URL, body={"a": text}).bridge_deliver(delivery())
    with pytest.raises(PermanentFailure, match="`body` makes more than 262144 characters"):
        connector(url=URL, body=["{{ 'x' * 200000 }}"] * 2).bridge_deliver(delivery())


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (302, PermanentFailure),
        (400, PermanentFailure),
        (401, Misconfigured),
        (403, Misconfigured),
        (404, PermanentFailure),
        (408, TemporaryFailure),
        (410, TargetGone),
        (425, TemporaryFailure),
        (500, TemporaryFailure),
    ],
)
@responses.activate
def test_only_2xx_is_success(status: int, failure: type[DeliveryFailure], connector: Make) -> None:
    responses.post(f"{URL}/s3cret-token", status=status, headers={"Location": "https://elsewhere.example.com/"})
    with pytest.raises(failure) as raised:
        connector(url=URL + "/s3cret-token").bridge_deliver(delivery())
    assert type(raised.value) is failure
    assert "s3cret" not in str(raised.value)


@responses.activate
def test_the_wait_a_crm_asks_for_is_kept(connector: Make) -> None:
    responses.post(URL, status=429, headers={"Retry-After": "120"})
    with pytest.raises(TemporaryFailure) as raised:
        connector(url=URL).bridge_deliver(delivery())
    assert raised.value.retry_after == 120


@pytest.mark.parametrize("body", ["", "not JSON", '{"id": {"x": 1}}', '{"id": null}', "[1]", "5"])
@responses.activate
def test_it_is_delivered_whatever_the_answer_looks_like(body: str, connector: Make) -> None:
    responses.post(URL, body=body)
    made = connector(url=URL, receipt="sort(id)" if body == "5" else "id").bridge_deliver(delivery())
    assert made == Receipt(text="HTTP 200", status=200, answer=body)


@responses.activate
def test_the_check_tests_the_credentials_and_writes_nothing(connector: Make) -> None:
    assert connector(url=URL).bridge_check() == "crm.example.com: not tested, as there is no `check_url`"
    responses.get(f"{URL}/me", status=200)
    log = connector(url=URL, check_url=f"{URL}/me", headers={"Authorization": "Bearer x"})
    assert log.bridge_check() == "crm.example.com: the credentials work (HTTP 200); nothing was written"
    assert responses.calls[0].request.headers["Authorization"] == "Bearer x"

    responses.replace("GET", f"{URL}/me", status=401)
    with pytest.raises(Misconfigured):
        log.bridge_check()


def test_both_kinds_are_registered_under_one_name() -> None:
    [connector] = callbridge_rest.bridge_connectors()
    [directory] = callbridge_rest.bridge_directories()
    assert (connector.name, connector.wants_contact, directory.name) == ("rest", True, "rest")
