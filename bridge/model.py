"""The records that go through the bridge: frozen, typed, the same for the core and for plugins.

A post of a PBX becomes a `Reading` (what a source plugin makes of it), a `Reading` becomes an `Event` (what the bridge
keeps and delivers), and an `Event` that is owed to a connector is a `Delivery`, which ends with a `Receipt`.

`Event` and what it holds are pydantic models whose JSON form is the public format of callbridge; `Event.to_json` writes
it and `Event.from_json` reads it. The others are plain dataclasses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Locale = Literal["en", "tr"]
"""The language of texts for people."""
Direction = Literal["inbound", "outbound", "internal"]
"""Of a call, as seen from the office."""
State = Literal["ringing", "answered", "completed", "missed", "unanswered"]
NumberKind = Literal["external", "extension", "withheld", "service"]
Fields = Mapping[str, str | list[str]]
"""A form as it came: every field as text; a field that came several times is a list."""

CALL_RINGING = "call.ringing"
CALL_ANSWERED = "call.answered"
CALL_COMPLETED = "call.completed"
CALL_MISSED = "call.missed"
CALL_UNANSWERED = "call.unanswered"
LEG_ENDED = "leg.ended"
OTHER = "other"
CONNECTOR_PAUSED = "bridge.connector_paused"
DELIVERY_DEAD = "bridge.delivery_dead"
SOURCE_SILENT = "bridge.source_silent"

ENDINGS = (CALL_COMPLETED, CALL_MISSED, CALL_UNANSWERED)
"""At most one of these is ever emitted for a call."""

EVENT_TYPES = (
    CALL_RINGING,
    CALL_ANSWERED,
    *ENDINGS,
    LEG_ENDED,
    OTHER,
    CONNECTOR_PAUSED,
    DELIVERY_DEAD,
    SOURCE_SILENT,
)
"""Every type an event can have; a connector's `on` names some of them or patterns such as `call.*`."""


class Record(BaseModel):
    """A frozen part of the public JSON form: its fields are the keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Number(Record):
    """A telephone number as people and programs need it.

    `raw` is the text as it came (empty for a caller of whom nothing came), `e164` the number in E.164 where it is one,
    `display` what people read: the national form at home, the international one abroad, "Gizli numara" or "Withheld
    number" for a withheld one, else the raw text. Callers control `raw` and `display`: never trust them as markup.
    `kind` is `external`, `extension`, `withheld` or `service` (`*8`, 112 from inside).
    """

    raw: str
    e164: str | None
    display: str
    kind: NumberKind


class Call(Record):
    """What is known of a call once an event has been merged into it; None for what is not.

    `id` is the PBX's. `direction` is as seen from the office, `state` is `ringing`, `answered`, or how it ended:
    `completed`, `missed`, `unanswered`. `caller` called `called`, in by the office's own `outside_number`, by way of
    the `queue`. `rang` lists every extension that rang, sorted; `dialed_user` is the extension of the event at hand,
    `connected_user` the one that took the call (of `call.answered`: just now).

    The times `started_at`, `answered_at` and `ended_at` carry a zone (the PBX's); `answered_at` is None where a machine
    took the call and nobody did. Whole seconds: `talk_seconds` from the answer to the end (0 where nobody answered,
    None while it is not known), `wait_seconds` from the start until someone answered or, where nobody did, until the
    end, `queue_wait_seconds` as the PBX counted them.

    `hung_up_by` is `caller`, `callee` or what the PBX said. `cause` is the PBX's name for why it ended, `cause_text`
    its text in the configured locale; `failure_status` and `failure_phrase` are what the network said of a call that
    failed. `recording_present` says whether the PBX has a recording.
    """

    id: str
    direction: Direction | None
    state: State
    caller: Number
    called: Number | None
    outside_number: Number | None
    dialed_user: str | None
    connected_user: str | None
    rang: tuple[str, ...]
    queue: str | None
    started_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    talk_seconds: int | None
    wait_seconds: int | None
    queue_wait_seconds: int | None
    hung_up_by: str | None
    cause: str | None
    cause_text: str | None
    recording_present: bool | None
    failure_status: str | None
    failure_phrase: str | None

    @property
    def outside_party(self) -> Number | None:
        """The number at the other end of the line: who calls in, or who is called; None for an internal call."""
        return None if self.direction == "internal" else self.called if self.direction == "outbound" else self.caller


class Contact(Record):
    """Who has a number, as one directory knows it.

    `name`, `company` and `note` are for people, `id` is the contact's id there, `directory` the configured name (set by
    the core).
    """

    name: str
    company: str | None = None
    id: str | None = None
    note: str | None = None
    directory: str | None = None


class CallData(Record):
    """What an event of a call carries.

    `source` is the configured name of the PBX, `tenant` the customer there, where it tells; `received_at` is when the
    bridge got the post, `call` the call as this event left it, `contact` who has the outside number (None where nobody
    knows, or the kind does not say `wants_contact`), `raw` every field as it came.
    """

    source: str
    tenant: str | None
    received_at: datetime
    call: Call
    contact: Contact | None = None
    raw: dict[str, str | list[str]]


class Trouble(Record):
    """A trouble of the bridge itself.

    `connector` or `source` names whom it is about, `reason` says what happened (for people, no secrets), `count` how
    many deliveries died since the last such event (of `bridge.delivery_dead`).
    """

    connector: str | None = None
    source: str | None = None
    reason: str
    count: int | None = None


class TroubleData(Record):
    """What an event of the bridge itself carries: a `trouble`, and when it was noticed (`received_at`).

    There is no `tenant`, `call` or `contact`, and the `source` is `bridge`: code that looks at those needs no case of
    its own.
    """

    source: Literal["bridge"] = "bridge"
    tenant: None = None
    received_at: datetime
    call: None = None
    contact: None = None
    trouble: Trouble


class Event(Record):
    """One normalized, immutable thing that happened.

    `id` (`evt_…`) is the same on every delivery and every try, so that a receiver can drop a repeat. `type` is one of
    `EVENT_TYPES`. `timestamp` is when it happened by the PBX's stamps, `data.received_at` where there was none. `data`
    is a `CallData`, or of the types `bridge.…` a `TroubleData`.
    """

    id: str
    type: str
    timestamp: datetime
    data: CallData | TroubleData = Field(union_mode="left_to_right")  # one of them fits, and to try both takes longer

    @property
    def call(self) -> Call | None:
        """The call as this event left it; None for the bridge's own troubles."""
        return self.data.call

    def with_contact(self, contact: Contact | None) -> Event:
        """The same event, with who called beside it (of a call; a trouble stays as it is)."""
        if isinstance(self.data, TroubleData):
            return self
        return self.model_copy(update={"data": self.data.model_copy(update={"contact": contact})})

    def to_json(self) -> str:
        """The public JSON form, one line, UTF-8 text."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str | bytes) -> Event:
        """Read the public JSON form. Raises pydantic's ValidationError where it is not one."""
        return cls.model_validate_json(text)


# --- what a source plugin reports ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Post:
    """One HTTP post of a PBX.

    `fields` are the form fields (or the top level of a JSON object, as text), decoded and otherwise as they came;
    `body` is the raw body, for a PBX that posts something else, `content_type` the header of that name (empty where
    there was none). `received_at` carries a zone.
    """

    fields: Fields
    body: bytes
    content_type: str
    received_at: datetime


ReadingKind = Literal["ringing", "answered", "hangup", "leg_ended", "other"]
"""What a post tells of: the call rings, is answered or ends, one leg of it ends, or something else."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What one post says of its call: None for what it does not say or what cannot be read.

    They become the fields of `Call` with these names: `direction`, `queue`, `hung_up_by`, `recording_present`,
    `failure_status`, `failure_phrase`; the numbers `caller`, `called`, `outside_number`, `dialed_user` and
    `connected_user` as the PBX's text (the core normalizes them); the times `started_at`, `answered_at` and `ended_at`,
    with a zone. `duration` and `queue_wait` are whole seconds, `cause` is the PBX's own name of why the call ended.
    """

    direction: Direction | None = None
    caller: str | None = None
    called: str | None = None
    outside_number: str | None = None
    dialed_user: str | None = None
    connected_user: str | None = None
    queue: str | None = None
    started_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    duration: int | None = None
    queue_wait: int | None = None
    hung_up_by: str | None = None
    cause: str | None = None
    recording_present: bool | None = None
    failure_status: str | None = None
    failure_phrase: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source plugin makes of one post. It reports what it sees and what it doubts; the core decides.

    `kind` is what the post tells of, `call_id` and `tenant` say of which call (the same for all of its posts), `facts`
    what it says of it, `raw` is every field as it came.

    `connected` is evidence in this very post of whether a person took the call: True, False, or None where it says
    nothing. `flag` is the PBX's own word for the same, already read as "was answered". `taken_over` says that this leg
    ended because another took the call over; `cleared` that the call was ended in the normal way (which, after an
    answer, means that it was answered). `flag_hint` is the advice shown to the operator when flags contradict the
    evidence: which setting would fix it.
    """

    kind: ReadingKind
    call_id: str
    tenant: str | None
    facts: Facts
    raw: Fields
    connected: bool | None = None
    flag: bool | None = None
    taken_over: bool = False
    cleared: bool = False
    flag_hint: str | None = None


# --- what a connector gets and says -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event owed to one target of one connector.

    `id` (`dlv_…`) is the delivery's own, `connector` the configured name, `event` what is owed. `attempt` counts the
    tries from 1, over replays too. `target` is one of the kind's target names (empty where it has only one). `event.id`
    is the same on every try.
    """

    id: str
    connector: str
    target: str
    attempt: int
    event: Event


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a connector says of a delivered event: a message id, a row, a URL (`text`, no secrets).

    `status` and `answer` are what the other side said, for the record of the attempt.
    """

    text: str = ""
    status: int | None = None
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Skip:
    """A connector says that this event is not for it; `reason` is kept. The delivery ends as `skipped`."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scripted piece of office life for `callbridge simulate`, by its `name`: what a PBX would post, in order.

    `steps` are (seconds since the step before, form fields) with stamps and ids already filled in.
    """

    name: str
    steps: tuple[tuple[float, dict[str, str]], ...] = field(default=())
