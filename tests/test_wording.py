"""What events say to people, in both languages, and what a template of their own sees."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from markupsafe import Markup

from bridge import (
    EVENT_TYPES,
    Contact,
    Event,
    EventTemplate,
    Locale,
    MessageLine,
    Number,
    PermanentFailure,
    Trouble,
    TroubleData,
    message_of,
)
from bridge.testing import sample_event
from bridge.wording import LABELS, PHRASES, TITLES, UNITS, clock, duration

CallEvent = Callable[..., Event]

STARTED = datetime(2026, 11, 24, 14, 5, tzinfo=timezone(timedelta(hours=3)))


@pytest.fixture
def call_event() -> CallEvent:
    """An event of a call whose caller gave up in queue 200 after 20 s; keywords change the call."""
    usual = {"started_at": STARTED, "rang": ("1001", "1002"), "cause_text": "Vazgeçildi"}

    def make(kind: str = "call.missed", contact: Contact | None = None, **changes: Any) -> Event:
        event = sample_event(kind, **{"state": "missed", **usual, **changes})
        return event.model_copy(update={"timestamp": STARTED}).with_contact(contact)

    return make


@pytest.fixture
def trouble_event() -> CallEvent:
    """A trouble of the bridge itself."""

    def make(kind: str, **trouble: Any) -> Event:
        data = TroubleData(received_at=datetime(2026, 11, 24, 9, 5, tzinfo=UTC), trouble=Trouble(**trouble))
        return Event(id="evt_02", type=kind, timestamp=data.received_at, data=data)

    return make


def facts(event: Event, locale: Locale) -> dict[str, str]:
    return {line.label: line.text for line in message_of(event, locale).lines}


def test_a_missed_call_says_who_where_when_how_long_and_why_in_turkish(call_event: CallEvent) -> None:
    said = message_of(call_event(), "tr")
    assert said.title == "Kaçan çağrı"
    assert said.lines == (
        MessageLine("Arayan", "(0212) 320 50 62", "tel:+902123205062"),
        MessageLine("Aranan", "1001"),
        MessageLine("Kuyruk", "200"),
        MessageLine("Çalan dahili", "1001, 1002"),
        MessageLine("Zaman", "24.11.2026 14:05"),
        MessageLine("Bekleme", "20 sn (kuyrukta 15 sn)"),
        MessageLine("Sebep", "Vazgeçildi: arayan kuyrukta 15 sn bekleyip kapattı"),
    )


def test_a_missed_call_says_the_same_in_english(call_event: CallEvent) -> None:
    event = call_event(cause_text="Given up")
    assert message_of(event, "en").title == "Missed call"
    assert facts(event, "en") == {
        "Caller": "(0212) 320 50 62",
        "Called": "1001",
        "Queue": "200",
        "Rang at": "1001, 1002",
        "When": "24 Nov 2026, 14:05",
        "Waited": "20 s (15 s in the queue)",
        "Reason": "Given up: the caller gave up after 15 s in the queue",
    }


def test_a_contact_stands_before_the_number(call_event: CallEvent) -> None:
    contact = Contact(name="Ayşe Yılmaz", company="Yılmaz Nakliyat", note="VIP")
    lines = message_of(call_event(contact=contact), "tr").lines
    assert lines[:4] == (
        MessageLine("Arayan", "Ayşe Yılmaz"),
        MessageLine("Numara", "(0212) 320 50 62", "tel:+902123205062"),
        MessageLine("Firma", "Yılmaz Nakliyat"),
        MessageLine("Not", "VIP"),
    )


def test_a_withheld_caller_has_no_link(call_event: CallEvent) -> None:
    withheld = Number(raw="anonymous", e164=None, display="Gizli numara", kind="withheld")
    assert message_of(call_event(caller=withheld), "tr").lines[0] == MessageLine("Arayan", "Gizli numara", None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cause": "NORMAL_CLEARING", "cause_text": "Cevaplandı"}, "arayan kuyrukta 15 sn bekleyip kapattı"),
        ({"queue_wait_seconds": None, "cause_text": None, "cause": None}, "arayan kuyrukta beklerken kapattı"),
        ({"queue": None, "queue_wait_seconds": None}, "Vazgeçildi"),
        ({"queue": None, "queue_wait_seconds": None, "cause": "NORMAL_CLEARING"}, "arayan kapattı"),
        ({"hung_up_by": "callee", "cause": "NO_ANSWER", "cause_text": "Cevapsız"}, "Cevapsız"),
        ({"hung_up_by": None, "cause": "SOMETHING_NEW", "cause_text": None}, "SOMETHING_NEW"),
        ({"hung_up_by": None, "cause": "NORMAL_CLEARING", "cause_text": "Cevaplandı"}, None),
    ],
)
def test_the_reason_of_a_call_nobody_took_never_reads_answered(
    changes: dict[str, Any], reason: str | None, call_event: CallEvent
) -> None:
    assert facts(call_event(**changes), "tr").get("Sebep") == reason


def test_a_completed_call_says_who_answered_and_how_long_they_talked(call_event: CallEvent) -> None:
    event = call_event(
        "call.completed", connected_user="1002", talk_seconds=125, cause="NORMAL_CLEARING", cause_text="Cevaplandı"
    )
    said = facts(event, "tr")
    assert (said["Cevaplayan"], said["Konuşma"], said["Sebep"]) == ("1002", "2 dk 5 sn", "Cevaplandı")


def test_an_outgoing_call_begins_with_the_one_who_was_called(call_event: CallEvent) -> None:
    customer = Number(raw="05301234567", e164="+905301234567", display="0530 123 45 67", kind="external")
    desk = Number(raw="1001", e164=None, display="1001", kind="extension")
    event = call_event(
        "call.unanswered",
        Contact(name="Ali"),
        direction="outbound",
        caller=desk,
        called=customer,
        outside_number=customer,
        queue=None,
        failure_phrase="Busy Here",
    )
    said = message_of(event, "en")
    assert said.title == "Unanswered call"
    assert [line.label for line in said.lines[:4]] == ["Called", "Number", "Caller", "Outside number"]
    assert said.lines[-1] == MessageLine("Failure", "Busy Here")


def test_a_ringing_call_has_not_waited_yet(call_event: CallEvent) -> None:
    assert "Bekleme" not in facts(call_event("call.ringing", wait_seconds=0, cause=None, cause_text=None), "tr")


def test_a_leg_that_ended_names_its_extension(call_event: CallEvent) -> None:
    assert facts(call_event("leg.ended"), "en")["Extension"] == "1001"


def test_a_call_of_which_little_is_known_says_when(call_event: CallEvent) -> None:
    unknown = (
        "called",
        "queue",
        "started_at",
        "wait_seconds",
        "queue_wait_seconds",
        "hung_up_by",
        "cause",
        "cause_text",
    )
    event = call_event("other", rang=(), **dict.fromkeys(unknown))
    assert facts(event, "tr") == {"Arayan": "(0212) 320 50 62", "Zaman": "24.11.2026 14:05"}


def test_dead_deliveries_are_counted(trouble_event: CallEvent) -> None:
    event = trouble_event("bridge.delivery_dead", connector="to_crm", reason="HTTP 400", count=3)
    assert message_of(event, "tr").title == "Teslim edilemeyen bildirim"
    assert facts(event, "tr") == {
        "Bağlantı": "to_crm",
        "Bildirim sayısı": "3",
        "Sebep": "HTTP 400",
        "Zaman": "24.11.2026 09:05",
    }


def test_a_silent_source_is_named(trouble_event: CallEvent) -> None:
    event = trouble_event("bridge.source_silent", source="bulutsantralim", reason="nothing for 2 h")
    assert facts(event, "en") == {"PBX": "bulutsantralim", "Reason": "nothing for 2 h", "When": "24 Nov 2026, 09:05"}


def test_every_type_has_a_title_in_both_languages() -> None:
    assert set(TITLES["tr"]) == set(TITLES["en"]) == set(EVENT_TYPES)
    assert set(LABELS["tr"]) == set(LABELS["en"])
    assert set(PHRASES["tr"]) == set(PHRASES["en"])
    assert len(UNITS["tr"]) == len(UNITS["en"])


def test_a_type_of_a_later_version_keeps_its_name(call_event: CallEvent) -> None:
    assert message_of(call_event("call.parked"), "tr").title == "call.parked"


@pytest.mark.parametrize(
    ("seconds", "turkish", "english"),
    [(0, "0 sn", "0 s"), (60, "1 dk", "1 min"), (3661, "1 sa 1 dk 1 sn", "1 h 1 min 1 s"), (90000, "25 sa", "25 h")],
)
def test_a_duration_is_written_in_whole_units(seconds: int, turkish: str, english: str) -> None:
    assert (duration(seconds, "tr"), duration(seconds, "en")) == (turkish, english)


def test_days_and_hours_are_padded_where_the_language_does() -> None:
    moment = datetime(2016, 1, 2, 3, 4, tzinfo=UTC)
    assert (clock(moment, "tr"), clock(moment, "en")) == ("02.01.2016 03:04", "2 Jan 2016, 03:04")


# --- templates ----------------------------------------------------------------------------------------------------


def in_own_words(source: str, event: Event, locale: Locale = "en", longest: int = 200) -> str:
    shout = EventTemplate(source, locale, longest=longest, escape=lambda text: Markup(text.replace("<", "(")))
    return shout.render(event)


def test_a_template_sees_the_event_and_its_usual_title_and_writes_times_for_people(call_event: CallEvent) -> None:
    source = "{{ title }} {{ event.data.call.started_at | when }} {{ event.data.call.wait_seconds | duration }}\n"

    assert in_own_words(source, call_event(), "tr") == "Kaçan çağrı 24.11.2026 14:05 20 sn"
    unknown = call_event(started_at=None, wait_seconds=None)
    assert in_own_words(source, unknown, "en") == "Missed call"


def test_what_a_template_writes_is_escaped_unless_it_says_otherwise(call_event: CallEvent) -> None:
    event = call_event(contact=Contact(name="<Ali> & 'Co'"))

    assert in_own_words("{{ event.data.contact.name }}<b>", event) == "(Ali> & 'Co'<b>"
    assert in_own_words("{{ event.data.contact.name | safe }}", event) == "<Ali> & 'Co'"


def test_a_template_is_cut_off_and_says_its_line_where_it_fails(call_event: CallEvent) -> None:
    assert in_own_words("x" * 300, call_event()) == "x" * 200
    with pytest.raises(PermanentFailure, match="line 2"):
        in_own_words("\n{{ event.nonesuch }}", call_event())
    with pytest.raises(ValueError, match="line 1"):
        EventTemplate("{{", "en", longest=10, escape=str)
