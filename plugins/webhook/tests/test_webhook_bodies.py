"""What is sent: the event, the envelope, or the receiver's own words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from callbridge_webhook.bodies import cloud_event, standard
from callbridge_webhook.template import BodyTemplate

from bridge import Event, PermanentFailure


def render(template: str, event: Event) -> str:
    return BodyTemplate(template).render(event).decode()


def test_the_standard_body_is_the_public_form_of_the_event(missed: Event) -> None:
    assert Event.from_json(standard(missed)) == missed


def test_a_cloud_event_has_the_attributes_of_version_1(missed: Event) -> None:
    envelope: dict[str, Any] = json.loads(cloud_event(missed))
    data = envelope.pop("data")
    assert data == json.loads(missed.to_json())["data"]
    assert envelope == {
        "specversion": "1.0",
        "id": "evt_01",
        "source": "/callbridge/bulutsantralim/10%2F1",
        "type": "call.missed",
        "subject": "1234",
        "time": "2016-01-01T00:00:20+02:00",
        "datacontenttype": "application/json",
    }


def test_a_trouble_of_the_bridge_has_no_subject(paused: Event) -> None:
    envelope = json.loads(cloud_event(paused))
    assert envelope["source"] == "/callbridge/bridge"
    assert "subject" not in envelope


def test_a_template_sees_the_event_as_its_json_form(missed: Event) -> None:
    template = (
        "{{ event.type }} {{ event.data.call.caller.display }} {{ event.timestamp }} {{ event.data.call.rang[0] }}"
    )
    assert render(template, missed) == "call.missed (0212) 320 50 62 2016-01-01T00:00:20+02:00 1001"


def test_tojson_writes_values_that_parse(missed: Event) -> None:
    body = render('{"all": {{ event.data.raw | tojson }}, "note": {{ event.data.contact | tojson }}}', missed)
    assert json.loads(body) == {"all": missed.model_dump()["data"]["raw"], "note": None}


def test_nothing_is_escaped_unasked(missed: Event) -> None:
    assert render("{{ event.data.raw.x[1] }}", missed) == "ğ<&>"


@pytest.mark.parametrize(
    "expression", ["event.data.call.colour", "nothing", "1 / 0", "event.data.call.queue + 1", "range(10 ** 9) | list"]
)
def test_a_template_that_fails_kills_the_delivery_and_names_the_line(expression: str, missed: Event) -> None:
    with pytest.raises(PermanentFailure, match="line 3"):
        render("{\n\n{{ " + expression + " }}}", missed)


@pytest.mark.parametrize("expression", ["event.__class__.__mro__", "event.update({})", "''.__class__"])
def test_a_template_cannot_leave_its_sandbox(expression: str, missed: Event) -> None:
    with pytest.raises(PermanentFailure, match="line 1"):
        render("{{ " + expression + " }}", missed)


def test_a_body_without_end_fails(missed: Event) -> None:
    with pytest.raises(PermanentFailure, match="more than 262144 characters"):
        render("{% for a in range(90000) %}{% for b in range(90000) %}0123456789{% endfor %}{% endfor %}", missed)
