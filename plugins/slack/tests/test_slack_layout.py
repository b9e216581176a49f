"""How messages look, and that nothing a caller controls can ping or format."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from callbridge_slack.layout import in_own_words, laid_out
from callbridge_slack.template import MessageTemplate

from bridge import EVENT_TYPES, Contact, Event, Locale, Number, PermanentFailure, message_of

CallEvent = Callable[..., Event]

EVIL = "<!channel> <@U123> <https://evil.example|click> *bold* _it_ ~s~ `code` & \n> quote\u202e"
MARKUP = re.compile(r"<[!@#]|<https|\*bold\*|_it_|~s~|`code`|\n|\u202e")


def texts(payload: Any) -> Iterator[tuple[str, str]]:
    """Every text object of a payload, as (type, text)."""
    if isinstance(payload, dict):
        if payload.get("type") in {"mrkdwn", "plain_text"}:
            yield payload["type"], payload["text"]
        for value in payload.values():
            yield from texts(value)
    elif isinstance(payload, list):
        for value in payload:
            yield from texts(value)


def evil_event(call_event: CallEvent, kind: str = "call.missed", times: int = 1) -> Event:
    text = EVIL * times
    number = Number(raw=text, e164=None, display=text, kind="external")
    return call_event(
        kind,
        Contact(name=text, company=text, note=text),
        caller=number,
        called=number,
        outside_number=number,
        queue=text,
        rang=(text,) * times,
        connected_user=text,
        dialed_user=text,
        cause_text=text,
        failure_phrase=text,
    )


def test_a_message_is_a_header_and_a_table_with_a_number_to_dial(call_event: CallEvent) -> None:
    payload = laid_out(message_of(call_event(), "tr"))
    header, first, second = payload["blocks"]
    assert header == {"type": "header", "text": {"type": "plain_text", "text": "Kaçan çağrı"}}
    assert first["fields"][:4] == [
        {"type": "mrkdwn", "text": "*Arayan*", "verbatim": True},
        {"type": "mrkdwn", "text": "<tel:+902123205062|(0212) 320 50 62>", "verbatim": True},
        {"type": "mrkdwn", "text": "*Aranan*", "verbatim": True},
        {"type": "plain_text", "text": "1001", "emoji": False},
    ]
    assert len(second["fields"]) == 4
    assert payload["text"].startswith("Kaçan çağrı · Arayan: (0212) 320 50 62 · Aranan: 1001 · Kuyruk: 200 · ")


@pytest.mark.parametrize("locale", ["tr", "en"])
@pytest.mark.parametrize("kind", [kind for kind in EVENT_TYPES if not kind.startswith("bridge.")])
def test_what_a_caller_controls_neither_pings_nor_formats(kind: str, locale: Locale, call_event: CallEvent) -> None:
    payload = laid_out(message_of(evil_event(call_event, kind), locale))
    assert not re.search(r"<[!@#]|<https", json.dumps(payload))
    assert not MARKUP.search(payload["text"])
    values = [text for kind, text in texts(payload) if kind == "mrkdwn"]
    assert all(re.fullmatch(r"\*[^*<>]+\*|<tel:\+\d+\|[^<>]+>", text) for text in values)
    assert "&lt;!channel&gt; &lt;@U123&gt;" in json.dumps(payload)


def test_a_reason_of_a_trouble_is_escaped_too(trouble_event: CallEvent) -> None:
    payload = laid_out(message_of(trouble_event("bridge.connector_paused", connector="x", reason=EVIL), "en"))
    assert not re.search(r"<[!@#]|<https", json.dumps(payload))


def test_a_message_keeps_to_slacks_limits(call_event: CallEvent) -> None:
    event = evil_event(call_event, "call.completed", times=200)
    payload = laid_out(message_of(event, "tr"))
    assert len(payload["text"]) <= 3000
    assert len(payload["blocks"]) <= 50
    assert all(len(block.get("fields", [])) <= 10 for block in payload["blocks"])
    assert all(0 < len(text) <= 2000 for _, text in texts(payload))
    assert not re.search(r"&[a-z]*…", json.dumps(payload, ensure_ascii=False))


def test_an_empty_value_is_shown_as_a_dash(call_event: CallEvent) -> None:
    payload = laid_out(message_of(call_event(contact=Contact(name=" \n")), "tr"))
    assert payload["blocks"][1]["fields"][1]["text"] == "–"


def test_a_template_is_mrkdwn_with_escaped_values(call_event: CallEvent) -> None:
    template = MessageTemplate(
        "<!here> *{{ title }}*: {{ event.data.contact.name }} – 'call' \"back\" {{ 'it\\'s' }}", "tr"
    )
    rendered = template.render(call_event(contact=Contact(name=EVIL)))
    assert rendered.startswith("<!here> *Kaçan çağrı*: &lt;!channel&gt; &lt;@U123&gt;")
    assert rendered.endswith("– 'call' \"back\" it's")
    assert not MARKUP.search(rendered.removeprefix("<!here>"))


@pytest.mark.parametrize(
    "expression",
    [
        "{% macro who(x) %}{{ x }}{% endmacro %}{{ who(name) }}",
        "{% set who %}{{ name }}{% endset %}{{ who }}",
        "{{ '*'|safe ~ name }}",
        "{{ [name, name]|join(', '|safe) }}",
        "{{ '%s'|format(name) }}",
        "{{ name|e }}",
        "{{ name|upper|lower }}",
        "{{ name|replace('&lt;', '<') }}",
    ],
)
def test_no_way_through_a_template_lets_a_mention_pass(expression: str, call_event: CallEvent) -> None:
    event = call_event(contact=Contact(name="<!channel>"))
    rendered = MessageTemplate("{% set name = event.data.contact.name %}" + expression, "tr").render(event)
    assert "&lt;!channel&gt;" in rendered
    assert "<" not in rendered


def test_a_value_begins_no_quotation(call_event: CallEvent) -> None:
    event = call_event(contact=Contact(name="> said"))
    rendered = MessageTemplate("{{ event.data.contact.name }}", "tr").render(event)
    assert rendered == "\u200b&gt;\u200b said"


def test_a_template_may_mark_its_own_value_safe(call_event: CallEvent) -> None:
    assert MessageTemplate("{{ '<!channel>'|safe }}", "en").render(call_event()) == "<!channel>"


def test_a_template_writes_times_and_durations_for_people(call_event: CallEvent) -> None:
    source = "{{ call.started_at|when }} {{ call.wait_seconds|duration }}{{ call.answered_at|when }}"
    source = "{% set call = event.data.call %}" + source
    assert MessageTemplate(source, "tr").render(call_event()) == "24.11.2026 14:05 20 sn"
    assert MessageTemplate(source, "en").render(call_event()) == "24 Nov 2026, 14:05 20 s"


@pytest.mark.parametrize("expression", ["event.data.call.colour", "1 / 0", "event.__class__.__mro__", "'x'|when"])
def test_a_template_that_fails_kills_the_delivery_and_names_the_line(expression: str, call_event: CallEvent) -> None:
    with pytest.raises(PermanentFailure, match="line 2"):
        MessageTemplate("a\n{{ " + expression + " }}", "tr").render(call_event())


def test_an_endless_template_is_cut_at_slacks_limit(call_event: CallEvent) -> None:
    source = "{% for a in range(90000) %}{% for b in range(90000) %}{{ '&' }}{% endfor %}{% endfor %}"
    payload = in_own_words(MessageTemplate(source, "tr").render(call_event()))
    [(_, text)] = texts(payload)
    assert text == payload["text"]
    assert len(text) <= 3000
    assert text.endswith("&amp;…")
