"""What an event says to people, in Turkish and English: the one place for wording, whatever the chat.

Pure functions, and nothing of any destination in them: a connector lays a message out and makes its texts harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from bridge.model import Call, CallData, Contact, Event, Locale, Number, TroubleData
from bridge.templates import Template

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

TITLES: dict[Locale, dict[str, str]] = {
    "tr": {
        "call.ringing": "Telefon çalıyor",
        "call.answered": "Çağrı cevaplandı",
        "call.completed": "Görüşme bitti",
        "call.missed": "Kaçan çağrı",
        "call.unanswered": "Cevapsız arama",
        "leg.ended": "Dahilide çağrı sona erdi",
        "other": "Çağrı olayı",
        "bridge.connector_paused": "Bağlantı duraklatıldı",
        "bridge.delivery_dead": "Teslim edilemeyen bildirim",
        "bridge.source_silent": "Santralden ses yok",
    },
    "en": {
        "call.ringing": "Phone ringing",
        "call.answered": "Call answered",
        "call.completed": "Call completed",
        "call.missed": "Missed call",
        "call.unanswered": "Unanswered call",
        "leg.ended": "Call ended at an extension",
        "other": "Call event",
        "bridge.connector_paused": "Connector paused",
        "bridge.delivery_dead": "Notification not delivered",
        "bridge.source_silent": "Nothing heard from the PBX",
    },
}

LABELS: dict[Locale, dict[str, str]] = {
    "tr": {
        "caller": "Arayan",
        "called": "Aranan",
        "company": "Firma",
        "note": "Not",
        "number": "Numara",
        "outside_number": "Dış numara",
        "queue": "Kuyruk",
        "rang": "Çalan dahili",
        "extension": "Dahili",
        "answered_by": "Cevaplayan",
        "when": "Zaman",
        "waited": "Bekleme",
        "talked": "Konuşma",
        "reason": "Sebep",
        "failure": "Hata",
        "connector": "Bağlantı",
        "source": "Santral",
        "count": "Bildirim sayısı",
    },
    "en": {
        "caller": "Caller",
        "called": "Called",
        "company": "Company",
        "note": "Note",
        "number": "Number",
        "outside_number": "Outside number",
        "queue": "Queue",
        "rang": "Rang at",
        "extension": "Extension",
        "answered_by": "Answered by",
        "when": "When",
        "waited": "Waited",
        "talked": "Talked",
        "reason": "Reason",
        "failure": "Failure",
        "connector": "Connector",
        "source": "PBX",
        "count": "Notifications",
    },
}

PHRASES: dict[Locale, dict[str, str]] = {
    "tr": {
        "in_queue": "{wait} (kuyrukta {queue})",
        "gave_up_in_queue": "arayan kuyrukta beklerken kapattı",
        "gave_up_after": "arayan kuyrukta {queue} bekleyip kapattı",
        "caller_hung_up": "arayan kapattı",
    },
    "en": {
        "in_queue": "{wait} ({queue} in the queue)",
        "gave_up_in_queue": "the caller gave up in the queue",
        "gave_up_after": "the caller gave up after {queue} in the queue",
        "caller_hung_up": "the caller hung up",
    },
}

UNITS: dict[Locale, tuple[str, str, str]] = {"tr": ("sa", "dk", "sn"), "en": ("h", "min", "s")}

CLEARED = frozenset({"NORMAL_CLEARING", "NORMAL_UNSPECIFIED"})
"""Causes that say no more than that somebody hung up: misleading as the reason of a call nobody took."""


@dataclass(frozen=True, slots=True)
class MessageLine:
    """One fact of a message: `label` says what it is, `text` is its value (callers control it: escape it), `link` a
    `tel:` link where there is one."""

    label: str
    text: str
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """An event in people's words: `title` is callbridge's own, `lines` are the facts, the most important first."""

    title: str
    lines: tuple[MessageLine, ...]


def message_of(event: Event, locale: Locale) -> Message:
    """The event in people's words, in the language `locale`; a type of a later version keeps its name as the title."""
    data = event.data
    lines = _of_trouble(data, locale) if isinstance(data, TroubleData) else _of_call(event, data, locale)
    return Message(TITLES[locale].get(event.type, event.type), tuple(lines))


class EventTemplate:
    """A message in an operator's own words: a `Template` of at most `longest` characters, cut off there, that sees
    `event`, the public JSON form of an event, and `title`, the event's usual title.

    Every text it writes goes through `escape` and Jinja's own escaping, unless it is marked `safe`: where the
    destination is no HTML, return `Markup` from `escape`. The filters `when` and `duration` write a time of the event
    and a number of seconds for people, nothing for null. Raises ValueError, with the line, where it is no template.
    """

    def __init__(self, source: str, locale: Locale, *, longest: int, escape: Callable[[str], str]) -> None:
        self._locale = locale
        self._template = Template(
            source,
            longest=longest,
            cut=True,
            escape=escape,
            filters={
                "when": lambda moment: moment and clock(datetime.fromisoformat(moment), locale),
                "duration": lambda seconds: None if seconds is None else duration(seconds, locale),
            },
        )

    def render(self, event: Event) -> str:
        """The message, perhaps empty. Raises `PermanentFailure` where the template fails."""
        values = {"event": event.model_dump(mode="json"), "title": message_of(event, self._locale).title}
        return self._template.render(values).strip()


def clock(moment: datetime, locale: Locale) -> str:
    """`24.11.2026 14:05` or `24 Nov 2026, 14:05`, in the zone the moment carries."""
    if locale == "tr":
        return f"{moment.day:02}.{moment.month:02}.{moment.year:04} {moment:%H:%M}"
    return f"{moment.day} {MONTHS[moment.month - 1]} {moment.year:04}, {moment:%H:%M}"


def duration(seconds: int, locale: Locale) -> str:
    """`20 sn`, `2 dk 5 sn`, `1 sa`; `20 s`, `2 min 5 s`, `1 h` in English."""
    hours, rest = divmod(max(seconds, 0), 3600)
    parts = zip((hours, *divmod(rest, 60)), UNITS[locale], strict=True)
    return " ".join(f"{amount} {unit}" for amount, unit in parts if amount) or f"0 {UNITS[locale][2]}"


def _of_call(event: Event, data: CallData, locale: Locale) -> Iterator[MessageLine]:
    labels = LABELS[locale]
    yield from _parties(data.call, data.contact, labels)
    yield from _extensions(event, data.call, labels)
    yield MessageLine(labels["when"], clock(data.call.started_at or event.timestamp, locale))
    yield from _outcome(event, data.call, locale)


def _parties(call: Call, contact: Contact | None, labels: dict[str, str]) -> Iterator[MessageLine]:
    """The other side first: of an outgoing call the one who was called; then our own."""
    if call.direction == "outbound" and call.called:
        yield from _party(labels["called"], call.called, contact, labels)
        yield MessageLine(labels["caller"], call.caller.display)
    else:
        yield from _party(labels["caller"], call.caller, contact, labels)
        if call.called:
            yield _number(labels["called"], call.called)
    if call.outside_number:
        yield _number(labels["outside_number"], call.outside_number)


def _party(label: str, number: Number, contact: Contact | None, labels: dict[str, str]) -> Iterator[MessageLine]:
    """Who is on the other side: the contact's name, company and note where a directory knows them, and the number."""
    if contact is None:
        yield _number(label, number)
        return
    yield MessageLine(label, contact.name)
    yield _number(labels["number"], number)
    if contact.company:
        yield MessageLine(labels["company"], contact.company)
    if contact.note:
        yield MessageLine(labels["note"], contact.note)


def _extensions(event: Event, call: Call, labels: dict[str, str]) -> Iterator[MessageLine]:
    """The queue, who rang, and who took the call."""
    if call.queue:
        yield MessageLine(labels["queue"], call.queue)
    if event.type == "leg.ended" and call.dialed_user:
        yield MessageLine(labels["extension"], call.dialed_user)
    elif call.rang and call.direction != "outbound":
        yield MessageLine(labels["rang"], ", ".join(call.rang))
    if call.connected_user:
        yield MessageLine(labels["answered_by"], call.connected_user)


def _outcome(event: Event, call: Call, locale: Locale) -> Iterator[MessageLine]:
    """How long they waited and talked, and why it ended."""
    labels = LABELS[locale]
    if event.type != "call.ringing" and call.wait_seconds is not None:
        yield MessageLine(labels["waited"], _wait(call, call.wait_seconds, locale))
    if event.type == "call.completed" and call.talk_seconds is not None:
        yield MessageLine(labels["talked"], duration(call.talk_seconds, locale))
    if reason := _reason(event, call, locale):
        yield MessageLine(labels["reason"], reason)
    if call.failure_phrase:
        yield MessageLine(labels["failure"], call.failure_phrase)


def _number(label: str, number: Number) -> MessageLine:
    return MessageLine(label, number.display, f"tel:{number.e164}" if number.e164 else None)


def _wait(call: Call, seconds: int, locale: Locale) -> str:
    wait = duration(seconds, locale)
    if not call.queue_wait_seconds:
        return wait
    return PHRASES[locale]["in_queue"].format(wait=wait, queue=duration(call.queue_wait_seconds, locale))


def _reason(event: Event, call: Call, locale: Locale) -> str:
    """Why the call ended, and of a call that was missed in the queue, who gave up after how long; may be empty."""
    nobody_took_it = event.type in {"call.missed", "call.unanswered"}
    cause = "" if nobody_took_it and call.cause in CLEARED else call.cause_text or call.cause or ""
    behind = ""
    if nobody_took_it and call.hung_up_by == "caller":
        phrases = PHRASES[locale]
        if event.type == "call.missed" and call.queue_wait_seconds:
            behind = phrases["gave_up_after"].format(queue=duration(call.queue_wait_seconds, locale))
        elif event.type == "call.missed" and call.queue:
            behind = phrases["gave_up_in_queue"]
        elif not cause:
            behind = phrases["caller_hung_up"]
    return ": ".join(part for part in (cause, behind) if part)


def _of_trouble(data: TroubleData, locale: Locale) -> Iterator[MessageLine]:
    labels, trouble = LABELS[locale], data.trouble
    if trouble.connector:
        yield MessageLine(labels["connector"], trouble.connector)
    if trouble.source:
        yield MessageLine(labels["source"], trouble.source)
    if trouble.count is not None:
        yield MessageLine(labels["count"], str(trouble.count))
    yield MessageLine(labels["reason"], trouble.reason)
    yield MessageLine(labels["when"], clock(data.received_at, locale))
