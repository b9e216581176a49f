"""What a message says, and that nothing a caller controls can ping, format or link, whatever the service."""

from __future__ import annotations

import email
import email.policy
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest
import responses
from callbridge_apprise.harmless import harmless
from callbridge_apprise.texts import as_text

from bridge import Contact, Event, Number, message_of
from bridge.testing import RecordingSink, sample_event

from .conftest import Deliver, MailServer

EVIL = (
    "@everyone <!channel> <@U123> <https://evil.example|click> [click](https://evil.example) <b>bold</b> *b* _i_ ~s~ "
    "`code` ||spoiler|| #general @all :smile: &lt;!here&gt; www.evil.example\n> quote\u202e \\*"
)
MEANT = re.compile(
    r"@(everyone|all)|<!|<@|<http|\]\(|<b>|&lt;b|\*b\*|_i_|~s~|`code`|\|\||(^|\s)#general|:smile:|://|evil\.example|\n>|\u202e"
)
TOKENS: dict[str, str] = {
    "telegram": "tgram://123456789:AAFabcdefghijklmnopqrstuvwxyzABCDEFG/12345/",
    "telegram, markdown": "tgram://123456789:AAFabcdefghijklmnopqrstuvwxyzABCDEFG/12345/?format=markdown",
    "discord": "discord://123456789012345678/abcdefghijklmnopqrstuvwxyz0123456789ABCDEF",
    "discord, markdown": "discord://123456789012345678/abcdefghijklmnopqrstuvwxyz0123456789ABCDEF?format=markdown",
    "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general",
    "teams": "workflows://prod.azure.com:443/workflow1234/SIGabcdefghijk",
    "google chat": "gchat://ws/key12345/token12345",
    "mattermost": "mmost://chat.example.com/3ccdd113474722377935511fc85d3dd4",
    "matrix": "matrixs://user:token@matrix.example.com/#room?mode=slack",
    "rocket.chat": "rocket://a23jvt4kvBhnvqd7H/4d3d3d4d3d4d3d@chat.example.com/#general",
    "ntfy": "ntfy://topic12345",
    "webex": "wxteams://" + "a" * 80,
}


def evil_event() -> Event:
    number = Number(raw=EVIL, e164=None, display=EVIL, kind="external")
    called = {"caller": number, "called": number, "queue": EVIL, "rang": (EVIL,), "connected_user": EVIL}
    event = sample_event(**called, cause_text=EVIL, failure_phrase=EVIL, outside_number=number)
    return event.with_contact(Contact(name=EVIL, company=EVIL, note=EVIL))


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


def sent_texts(request: Any) -> list[str]:
    body = request.body if isinstance(request.body, str) else (request.body or b"").decode()
    try:
        return texts(json.loads(body))
    except ValueError:
        return texts(parse_qs(body))


def test_a_message_says_the_same_as_in_slack() -> None:
    event = sample_event(cause_text="Vazgeçildi").with_contact(Contact(name="Ayşe Yılmaz", company="Yılmaz A.Ş."))

    assert as_text(message_of(event, "tr")).replace("\u200b", "").splitlines() == [
        "Arayan: Ayşe Yılmaz",
        "Numara: (0212) 320 50 62",
        "Firma: Yılmaz A.Ş.",
        "Aranan: 1001",
        "Kuyruk: 200",
        "Çalan dahili: 1001",
        "Zaman: 24.11.2026 09:00",
        "Bekleme: 20 sn (kuyrukta 15 sn)",
        "Sebep: Vazgeçildi: arayan kuyrukta 15 sn bekleyip kapattı",
    ]


def test_ordinary_names_and_numbers_stay_as_they_are() -> None:
    for text in ("Ayşe Yılmaz & Oğulları (Nakliyat)", "+90 212 320 50 62", "24.11.2026 14:05", "O'Brien, %5 + 1 = ?"):
        assert harmless(text) == text


def test_a_value_is_one_line_and_not_endless() -> None:
    line = as_text(message_of(sample_event().with_contact(Contact(name="a\r\n\tb" + "x" * 500)), "en")).splitlines()[0]

    assert line == f"Caller: a b{'x' * 296}…"
    assert as_text(message_of(sample_event().with_contact(Contact(name=" ")), "en")).startswith("Caller: –\n")


def test_nothing_of_a_callers_means_anything() -> None:
    assert MEANT.search(EVIL)
    assert not MEANT.search(as_text(message_of(evil_event(), "tr")))


@pytest.mark.parametrize("service", TOKENS)
@responses.activate
def test_no_service_makes_a_mention_a_link_or_markup_of_it(service: str, do: Callable[..., Any]) -> None:
    responses.post(re.compile("https://hooks.slack.com/.*"), body="ok")
    for method in ("GET", "POST", "PUT"):
        responses.add(method, re.compile("https?://.*"), json={"ok": True, "result": {"id": 1}, "event_id": "y"})
    message = message_of(evil_event(), "tr")

    assert do(TOKENS[service], as_text(message), message.title) == {}

    everything = sent_texts(responses.calls[-1].request)
    messages = [text for text in everything if "Arayan" in text]
    assert messages
    for text in messages:
        # What a service adds of its own, such as a tag around the title, is not the caller's.
        assert not MEANT.search(text[text.index("Arayan") :].replace("</b>", ""))
    assert [text for text in everything if "everyone" in text.replace("＠everyone", "")] == []


def test_a_mail_says_it_in_its_subject_and_its_text(mail: MailServer, deliver: Deliver) -> None:
    deliver(f"mailto://127.0.0.1:{mail.port}?from=bridge@example.com&to=boss@example.com", evil_event())

    (raw,) = mail.mails
    message = email.message_from_string(raw, policy=email.policy.default)
    (part,) = message.walk()
    assert message["Subject"] == "Kaçan çağrı"
    assert (part.get_content_type(), message["To"]) == ("text/plain", "boss@example.com")
    assert "Arayan: ＠everyone" in part.get_content()
    assert not MEANT.search(part.get_content())


def test_a_template_makes_the_text_below_the_title(sink: RecordingSink, deliver: Deliver) -> None:
    template = "{{ event.data.contact.name }}, <{{ event.data.call.wait_seconds | duration }}> {{ '*!*' | safe }}"
    deliver(f"json://127.0.0.1:{sink.port}", sample_event().with_contact(Contact(name="<O'Neil>")), template=template)

    (arrival,) = sink.arrivals
    assert (arrival.json()["title"], arrival.json()["message"]) == ("Kaçan çağrı", "＜O'Neil＞, <20 sn> *!*")
