"""The columns there are: what each is called, and what it says of a call. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from bridge import Call, CallData, Contact, Event, Locale, Number

LONGEST = 1000
"""Characters kept of a text: no caller needs more, and a cell of Excel holds 32,767."""

Value = str | date | time | timedelta | None
"""What stands in a cell; None for nothing."""

WORDS: Mapping[Locale, Mapping[object, str]] = {
    "en": {
        "inbound": "Inbound",
        "outbound": "Outbound",
        "internal": "Internal",
        "call.completed": "Answered",
        "call.missed": "Missed",
        "call.unanswered": "Unanswered",
        "caller": "Caller",
        "callee": "Called party",
        True: "Yes",
        False: "No",
    },
    "tr": {
        "inbound": "Gelen",
        "outbound": "Giden",
        "internal": "Dahili",
        "call.completed": "Cevaplandı",
        "call.missed": "Kaçan",
        "call.unanswered": "Cevapsız",
        "caller": "Arayan",
        "callee": "Aranan",
        True: "Var",
        False: "Yok",
    },
}


@dataclass(frozen=True, slots=True)
class Ended:
    """A call that has ended. `at` is when it began, in the PBX's time, to the second."""

    event: Event
    data: CallData
    locale: Locale

    @property
    def call(self) -> Call:
        return self.data.call

    @property
    def contact(self) -> Contact | None:
        return self.data.contact

    @property
    def at(self) -> datetime:
        return (self.call.started_at or self.event.timestamp).replace(microsecond=0, tzinfo=None)

    def word(self, value: object) -> str | None:
        """A word of ours in the locale; of the PBX's own ones, the word itself; nothing for what is not known."""
        return None if value is None else WORDS[self.locale].get(value, str(value))


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading in each language, and its value."""

    en: str
    tr: str
    of: Callable[[Ended], Value]

    def heading(self, locale: Locale) -> str:
        return self.tr if locale == "tr" else self.en


def _other_side(call: Call) -> Number:
    return call.called if call.direction == "outbound" and call.called else call.caller


def _line(call: Call) -> str | None:
    """The number of ours that was called, or that was shown to who was called; not an extension."""
    if call.outside_number:
        return call.outside_number.display
    inside = call.called is None or call.called.kind == "extension" or call.direction != "inbound"
    return None if inside else _shown(call.called)


def _shown(number: Number | None) -> str | None:
    return number.display if number else None


def _seconds(count: int | None) -> timedelta | None:
    return None if count is None else timedelta(seconds=max(count, 0))


CATALOGUE: Mapping[str, Column] = {
    "date": Column("Date", "Tarih", lambda row: row.at.date()),
    "time": Column("Time", "Saat", lambda row: row.at.time()),
    "direction": Column("Direction", "Yön", lambda row: row.word(row.call.direction)),
    "number": Column("Number", "Numara", lambda row: _other_side(row.call).display),
    "name": Column("Name", "Ad Soyad", lambda row: row.contact.name if row.contact else None),
    "company": Column("Company", "Firma", lambda row: row.contact.company if row.contact else None),
    "note": Column("Note", "Not", lambda row: row.contact.note if row.contact else None),
    "line": Column("Line", "Hat", lambda row: _line(row.call)),
    "queue": Column("Queue", "Kuyruk", lambda row: row.call.queue),
    "rang": Column("Rang at", "Çalan dahililer", lambda row: ", ".join(row.call.rang)),
    "answered_by": Column("Answered by", "Cevaplayan", lambda row: row.call.connected_user),
    "waited": Column("Waited", "Bekleme", lambda row: _seconds(row.call.wait_seconds)),
    "queue_waited": Column(
        "Waited in queue",
        "Kuyrukta bekleme",
        lambda row: _seconds(row.call.queue_wait_seconds),
    ),
    "talked": Column("Talked", "Konuşma", lambda row: _seconds(row.call.talk_seconds)),
    "ended": Column("Ended", "Bitiş", lambda row: _ended(row.call)),
    "result": Column("Result", "Sonuç", lambda row: row.word(row.event.type)),
    "cause": Column("Cause", "Sebep", lambda row: row.call.cause_text or row.call.cause),
    "hung_up_by": Column("Hung up by", "Kapatan", lambda row: row.word(row.call.hung_up_by)),
    "recording": Column("Recording", "Ses kaydı", lambda row: row.word(row.call.recording_present)),
    "caller": Column("Caller", "Arayan", lambda row: row.call.caller.display),
    "called": Column("Called", "Aranan", lambda row: _shown(row.call.called)),
    "source": Column("PBX", "Santral", lambda row: row.data.source),
    "tenant": Column("PBX id", "Santral no", lambda row: row.data.tenant),
    "event_id": Column("Event id", "Olay no", lambda row: row.event.id),
    "call_id": Column("Call id", "Çağrı no", lambda row: row.call.id),
}
"""Every column by its name in the config."""

DEFAULT = (
    "date",
    "time",
    "direction",
    "number",
    "name",
    "company",
    "line",
    "queue",
    "rang",
    "answered_by",
    "waited",
    "talked",
    "result",
    "cause",
    "recording",
    "call_id",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One call: when it began (in the PBX's time), its cells by the column's name, and whose it is."""

    at: datetime
    cells: Mapping[str, Value]
    owner: tuple[str, str | None] = ("", None)
    """The source and the tenant: calls of two PBXes may have the same id."""


def row(event: Event, data: CallData, columns: Sequence[str], locale: Locale) -> Row:
    """The row of a call that has ended."""
    ended = Ended(event, data, locale)
    cells = {name: _clean(CATALOGUE[name].of(ended)) for name in columns}
    return Row(ended.at, cells, (data.source, data.tenant))


def with_id(columns: Sequence[str]) -> tuple[str, ...]:
    """The columns, with one by which a row is found again: a repeat must not become a second row."""
    return (*columns, *([] if {"call_id", "event_id"} & {*columns} else ["call_id"]))


def identifying(columns: Sequence[str]) -> tuple[str, ...]:
    """Which of the columns say together whether a call has its row: the event's id, else all that tell calls apart."""
    return (
        ("event_id",)
        if "event_id" in columns
        else tuple(name for name in ("source", "tenant", "call_id") if name in columns)
    )


def _ended(call: Call) -> time | None:
    return call.ended_at.time().replace(microsecond=0) if call.ended_at else None


def _clean(value: Value) -> Value:
    """Text as one line of characters that every program can show; nothing for an empty one."""
    if not isinstance(value, str):
        return value
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in value).split())
    return (line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…") or None
