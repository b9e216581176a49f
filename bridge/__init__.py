"""The public API of callbridge for plugin authors: everything a plugin may import, and nothing else.

A plugin imports from `bridge` (and, in its tests, from `bridge.testing`); all other modules are the core's own and
change without notice.
"""

from bridge.durations import PositiveDuration
from bridge.errors import (
    BridgeError,
    DeliveryFailure,
    Fault,
    Misconfigured,
    PermanentFailure,
    SettingsError,
    TargetGone,
    TemporaryFailure,
    Unreadable,
)
from bridge.hookspecs import (
    ConnectorContext,
    ConnectorKind,
    DirectoryContext,
    DirectoryKind,
    NoSettings,
    Outcome,
    Source,
    SourceContext,
    SourceKind,
    hookimpl,
)
from bridge.http import HttpClient, HttpResponse
from bridge.model import (
    ENDINGS,
    EVENT_TYPES,
    Call,
    CallData,
    Contact,
    Delivery,
    Direction,
    Event,
    Facts,
    Fields,
    Locale,
    Number,
    Post,
    Reading,
    ReadingKind,
    Receipt,
    Scenario,
    Skip,
    Trouble,
    TroubleData,
)
from bridge.phone import e164_numbers
from bridge.services import Directories, Feed, FeedItem, History
from bridge.templates import Template
from bridge.urls import SecretUrl
from bridge.wording import EventTemplate, Message, MessageLine, message_of

__all__ = [
    "ENDINGS",
    "EVENT_TYPES",
    "BridgeError",
    "Call",
    "CallData",
    "ConnectorContext",
    "ConnectorKind",
    "Contact",
    "Delivery",
    "DeliveryFailure",
    "Direction",
    "Directories",
    "DirectoryContext",
    "DirectoryKind",
    "Event",
    "EventTemplate",
    "Facts",
    "Fault",
    "Feed",
    "FeedItem",
    "Fields",
    "History",
    "HttpClient",
    "HttpResponse",
    "Locale",
    "Message",
    "MessageLine",
    "Misconfigured",
    "NoSettings",
    "Number",
    "Outcome",
    "PermanentFailure",
    "PositiveDuration",
    "Post",
    "Reading",
    "ReadingKind",
    "Receipt",
    "Scenario",
    "SecretUrl",
    "SettingsError",
    "Skip",
    "Source",
    "SourceContext",
    "SourceKind",
    "TargetGone",
    "Template",
    "TemporaryFailure",
    "Trouble",
    "TroubleData",
    "Unreadable",
    "e164_numbers",
    "hookimpl",
    "message_of",
]
