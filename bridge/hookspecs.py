"""The hooks of callbridge, to be read from top to bottom in a minute.

A plugin is an installed distribution with an entry point in the group `callbridge`, whose name is the kind it brings.
The entry point names a module (or an object) that implements one of the three registration hooks::

    installed             configured                            running
    ─────────             ──────────                            ───────
    bridge_sources     ─▶ [sources.NAME]      SourceKind.create ─▶ a Source: read(post), cause_text(…)
    bridge_connectors  ─▶ [connectors.NAME]   ConnectorKind.create ─▶ an object with bridge_start · bridge_deliver ·
                                                                      bridge_check · bridge_stop · bridge_pages ·
                                                                      bridge_commands
    bridge_directories ─▶ [directories.NAME]  DirectoryKind.create ─▶ an object with bridge_start · bridge_lookup ·
                                                                      bridge_check · bridge_stop

Each configured connector and directory is registered with pluggy under its own name, and the core calls the hook of
exactly that one, guarded: what one plugin does wrong is never felt by another.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from zoneinfo import ZoneInfo

import pluggy
from pydantic import BaseModel

from bridge.errors import DeliveryFailure
from bridge.http import HttpClient
from bridge.memory import MemoryFeed, MemoryHistory, NobodyKnows
from bridge.model import EVENT_TYPES, Contact, Delivery, Locale, Number, Post, Reading, Receipt, Scenario, Skip
from bridge.services import Directories, Feed, History

if TYPE_CHECKING:  # only plugins with pages need it
    import click
    import flask

PROJECT = "callbridge"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function or a method of a plugin as the implementation of the hook of its name."""

Outcome = Receipt | Skip | DeliveryFailure | None
"""What a connector answers for one delivery. None means delivered, without a receipt. A single delivery raises its
failure; in a batch, the failure of one member is put in its place."""


class NoSettings(BaseModel):
    """The settings of a kind that has none of its own."""


# --- kinds: what a plugin brings ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What the core gives a source: its configured `name`, the `timezone` of the PBX's stamps, the `region` (`TR`) of
    its national numbers."""

    name: str
    timezone: ZoneInfo
    region: str


class Source(Protocol):
    """Understands one PBX's webhook. It is called from several threads at once and keeps no state."""

    def read(self, post: Post) -> Reading | None:
        """What the post says; None for a probe (answered `ok`, nothing stored).

        Raises `Unreadable` where no call event can be made of it. One bad field never costs the call: what cannot be
        read is None in the facts, and its text stays in `raw`.
        """

    def cause_text(self, cause: str, locale: Locale) -> str | None:
        """Why a call ended, for people; None for a cause this source does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceKind:
    """A PBX this plugin understands, by its `name`, which the entry point has too.

    `settings` is the model of the source's own keys in `[sources.NAME]`; `create` gets them, validated, and a
    `SourceContext`, and raises nothing but `SettingsError`.
    """

    name: str
    create: Callable[[Any, SourceContext], Source]
    settings: type[BaseModel] = NoSettings
    scenarios: Mapping[str, Callable[[datetime], Scenario]] = field(default_factory=dict)
    """Scripted posts by name, each made for a given moment (with a zone), with fresh call ids."""


@dataclass(frozen=True, slots=True)
class ConnectorContext:
    """What the core gives a connector.

    `name` is its configured name, `locale` the language of its texts, `timeout` the seconds one `bridge_deliver` may
    take in all, `http` an HTTP client that keeps to that timeout, `log` a logger that removes configured secrets.
    `history` knows the calls with a number, `feed` is the connector's own durable feed, `directories` say who has a
    number. `events` are the event types its `on` names. `public_url` is how the world reaches the bridge, without a
    slash at the end (`server.public_url`), `pages_url` where this connector's pages are, with a slash at the end (on
    this machine, where there is no `public_url`).
    """

    name: str
    locale: Locale
    timeout: float
    http: HttpClient
    log: logging.Logger
    history: History = field(default_factory=MemoryHistory)
    feed: Feed = field(default_factory=MemoryFeed)
    directories: Directories = field(default_factory=NobodyKnows)
    events: frozenset[str] = frozenset(EVENT_TYPES)
    public_url: str | None = None
    pages_url: str = ""


def one_target(_settings: Any) -> Sequence[str]:
    """The targets of a connector that has only one."""
    return ("",)


def no_streams(_settings: Any) -> int:
    """The streams of a connector that has none."""
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorKind:
    """A destination this plugin can deliver to; any number of connectors of one kind can be configured.

    `name` is what `kind = "…"` in the config says; the entry point has it too. `settings` is the model of the
    connector's own keys: an unknown key is an error, a field of a secret type is removed from logs and records.
    `create` gets the validated settings and a `ConnectorContext` and returns an object with the hooks below; it raises
    nothing but `SettingsError` and opens no connection (`bridge_start` may).

    The defaults are the kind's own and can be changed per connector in the config; all times are seconds: `max_age`
    after which an event is not sent any more, `timeout` for one call of `bridge_deliver`, the waits of the
    `retry_schedule`, and `order_hold`, for which a retry that waits holds back later events of its call. `concurrency`
    is how many calls may be under way at once (one where `threadsafe` is False, which also means one target).
    `targets` names the targets of a configured connector (no secrets in the names, stable over restarts): each gets
    every event, and has a `concurrency`, `rate`, breaker and pause of its own. `max_batch` > 1 asks for several
    deliveries at once (the `batch` argument of `bridge_deliver`). `rate` says how often it may be called (a batch is
    one call): `1/s`, `1/30s`, or a function of the settings. `idempotent` says that a repeated delivery is harmless.
    `wants_contact` makes deliveries wait (briefly) until the directories have been asked who is calling. `streams` says
    how many long-lived answers the pages of a configured connector may have under way at once: each gets a thread.
    """

    name: str
    create: Callable[[Any, ConnectorContext], object]
    settings: type[BaseModel] = NoSettings
    targets: Callable[[Any], Sequence[str]] = one_target
    streams: Callable[[Any], int] = no_streams
    max_batch: int = 1
    threadsafe: bool = True
    idempotent: bool = False
    wants_contact: bool = False
    max_age: float = 24 * 3600.0
    timeout: float = 10.0
    concurrency: int = 4
    rate: str | Callable[[Any], str | None] | None = None
    retry_schedule: Sequence[float] = (5, 30, 120, 600, 1800, 7200, 18000, 36000)
    order_hold: float = 300.0


@dataclass(frozen=True, slots=True)
class DirectoryContext:
    """What the core gives a directory.

    `name` is its configured name, `timeout` the seconds a lookup may take, `http` an HTTP client that keeps to that,
    `log` a logger that removes configured secrets, `region` the country (`TR`) of the national numbers in it.
    """

    name: str
    timeout: float
    http: HttpClient
    log: logging.Logger
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryKind:
    """A place that knows who has a number; `name` is what `kind = "…"` says, `settings` the model of its own keys.

    `create` gets the validated settings and a `DirectoryContext` and returns an object with the hook `bridge_lookup`
    (and, if it likes, `bridge_start`, `bridge_check` and `bridge_stop`); it raises nothing but `SettingsError` and
    opens no connection.
    """

    name: str
    create: Callable[[Any, DirectoryContext], object]
    settings: type[BaseModel] = NoSettings


# --- hooks of an installed plugin ---------------------------------------------------------------------------------


@hookspec
def bridge_sources() -> Iterable[SourceKind]:  # type: ignore[empty-body]  # a specification has no body
    """The PBX kinds this plugin understands."""


@hookspec
def bridge_connectors() -> Iterable[ConnectorKind]:  # type: ignore[empty-body]  # a specification has no body
    """The connector kinds this plugin brings."""


@hookspec
def bridge_directories() -> Iterable[DirectoryKind]:  # type: ignore[empty-body]  # a specification has no body
    """The directory kinds this plugin brings."""


# --- hooks of one configured connector; start, check and stop of a directory, too ---------------------------------


@hookspec
def bridge_start() -> None:
    """The bridge starts delivering, in this process. Called once, before the first delivery and the first lookup."""


@hookspec(firstresult=True)
def bridge_deliver(delivery: Delivery, batch: Sequence[Delivery]) -> Outcome | Sequence[Outcome]:
    """Deliver `delivery`; or, for a kind with `max_batch` > 1, all of `batch` (take the one argument you need).

    Return a `Receipt` (or None) when it has been delivered, `Skip` when the event is not for this connector, and
    raise a `DeliveryFailure` when it could not be delivered. For a batch return one answer for each member, in its
    order, with a failure in the place of each that failed; raising fails all of them. Any other exception counts as a
    temporary failure. At least once: the same event may come again after a crash, with the same `event.id`.
    """


@hookspec(firstresult=True)
def bridge_check() -> str | None:
    """Test credentials and target without delivering anything (`callbridge check --online`).

    Return a line for people on success; raise a `DeliveryFailure` that says what to mend. A directory says here where
    its contacts come from; `callbridge whois` shows it, and calls this before `bridge_lookup`.
    """


@hookspec
def bridge_stop() -> None:
    """The bridge has stopped delivering: close what `bridge_start` opened. Called once; pages may still be open."""


@hookspec(firstresult=True)
def bridge_pages() -> flask.Blueprint:  # type: ignore[empty-body]  # a specification has no body
    """The pages of this connector. Called once, when it has been made.

    Those of the first connector of a kind in the config are at `/KIND/`, those of every further one at `/KIND/NAME/`
    (`ConnectorContext.pages_url`); the blueprint needs no `url_prefix`, and `url_for(".page")` leads within it. It gets
    a Flask application of its own, so what it registers for a whole application is for these pages alone.

    An answer may be a stream (a generator), which takes a thread as long as it lasts: say how many by
    `ConnectorKind.streams`. Past that many and 16 more, requests are answered 503 with `Retry-After`. A stream ends by
    itself when the bridge stops, and is closed (GeneratorExit) when it next says something to a client that has gone:
    say something every few seconds. A page that raises is answered 500 and logged.
    """


@hookspec(firstresult=True)
def bridge_commands() -> Iterable[click.Command]:  # type: ignore[empty-body]  # a specification has no body
    """The commands of this connector: `callbridge KIND COMMAND …`.

    They run in a process of their own, beside the bridge or without one, after `create` and without `bridge_start`; the
    context's `feed`, `history` and `directories` work there. The core adds the options `--config` and `--connector`
    (the name of the connector, where several of the kind are configured). A `BridgeError` is shown in a line. A kind
    that is named like a command of callbridge's cannot be reached.
    """


# --- hook of one configured directory -----------------------------------------------------------------------------


@hookspec(firstresult=True)
def bridge_lookup(number: Number) -> Contact | Sequence[Contact] | None:
    """Who has this number (`number.e164` is set)? All who have it, where there are several: the core does not guess.

    None, or nobody, where this directory does not know; that is remembered for a minute, contacts for ten. Called from
    several threads at once, for one number again only when that has been answered or is late. An exception means that
    it cannot say now: it is asked again for the next call, but after three, one after the other, nobody waits for it
    for half a minute. No answer within `DirectoryContext.timeout` counts as one.
    """
