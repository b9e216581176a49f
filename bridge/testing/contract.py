"""The suite that every connector passes: what the core and the people who run it rely on."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, ClassVar

import click
import pytest

from bridge.delivery.verdict import is_sound
from bridge.errors import (
    BridgeError,
    DeliveryFailure,
    Misconfigured,
    PermanentFailure,
    TargetGone,
    TemporaryFailure,
)
from bridge.hookspecs import ConnectorKind, Outcome
from bridge.memory import MemoryFeed, MemoryHistory, NobodyKnows
from bridge.model import EVENT_TYPES, Delivery, Event
from bridge.plugins import Plugins, load_kind
from bridge.redaction import Redactor
from bridge.services import FeedItem, Services
from bridge.settings import secrets_of
from bridge.testing.records import bare_event, hostile_event, sample_event, sample_events
from bridge.testing.sink import Answer, RecordingSink, recording_sink
from bridge.testing.waiting import eventually

NAME = "contract"
UNHURRIED = 10.0
"""Seconds a delivery may take where nothing is slow but the machine."""
ASKED_TO_WAIT = 7.0
"""What `Retry-After` says where the destination answers 429."""

HTTP_FAILURES: Mapping[str, type[DeliveryFailure]] = {
    "refused": TemporaryFailure,
    "reset": TemporaryFailure,
    "400": PermanentFailure,
    "401": Misconfigured,
    "403": Misconfigured,
    "404": PermanentFailure,
    "410": TargetGone,
    "429": TemporaryFailure,
    "500": TemporaryFailure,
    "503": TemporaryFailure,
    "redirect": PermanentFailure,
}
HTTP_DELAYS = ("black hole", "silence", "drip", "dripping headers")


class PlaceFeed(MemoryFeed):
    """The feed of a connector under test; where `is_down` is set, its store cannot be used."""

    is_down = False

    def publish(self, channel: str, data: Mapping[str, Any], *, keep: float | None) -> int:
        """See `Feed`."""
        self._refuse()
        return super().publish(channel, data, keep=keep)

    def read(self, channels: Collection[str], after: int = 0, *, limit: int = 1000) -> Sequence[FeedItem]:
        """See `Feed`."""
        self._refuse()
        return super().read(channels, after, limit=limit)

    def _refuse(self) -> None:
        if self.is_down:
            raise BridgeError("the store cannot be used now")


@dataclass(slots=True)
class Place:
    """Where the connector of a test delivers to: an HTTP server at `url` (`sink`), an empty `folder`, its own `feed`.

    `secrets` are those that its settings turned out to have, `started` the connectors that have yet to be stopped.
    """

    sink: RecordingSink
    folder: Path
    feed: PlaceFeed = field(default_factory=PlaceFeed)
    secrets: set[str] = field(default_factory=set)
    started: list[Plugins] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The URL of the server, without a slash at the end."""
        return self.sink.url


@contextmanager
def watched_place(folder: Path) -> Iterator[Place]:
    """A place; at its end, nothing that was logged meanwhile may hold a secret."""
    log, root = StringIO(), logging.getLogger()
    handler = logging.StreamHandler(log)
    levels = [(logger, logger.level) for logger in (root, logging.getLogger("urllib3"))]
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    levels[1][0].setLevel(logging.WARNING)  # as in a bridge
    try:
        with recording_sink() as sink:
            place = Place(sink, folder)
            yield place
    finally:
        root.removeHandler(handler)
        for logger, level in levels:
            logger.setLevel(level)
    assert_holds_none(log.getvalue(), place.secrets, "the log")


class ConnectorContract:
    """Subclass it in a test module, name the `kind`, and write `settings`::

        class TestContract(ConnectorContract):
            kind = next(iter(callbridge_telegram_notes.bridge_connectors()))

            def settings(self, place: Place) -> dict[str, object]:
                return {"url": f"{place.url}/a-secret-path"}

    A connector that speaks HTTP sends to `place.url` then, and all of the suite applies; where its service means
    something else by an answer, it says so in `failures`. One that writes files names the ways in which it fails in
    `failures` and what it may have to wait for in `delays` (both may be empty), and brings them about in `bring_about`.
    So does one that publishes what its pages show; `no store`, where its feed raises, is known here.
    """

    kind: ClassVar[ConnectorKind]
    """The kind under test."""
    failures: ClassVar[Mapping[str, type[DeliveryFailure]]] = HTTP_FAILURES
    """What can go wrong at the destination, by the name `bring_about` knows it by, and what is raised exactly then."""
    delays: ClassVar[Sequence[str]] = HTTP_DELAYS
    """What a delivery may have to wait for; it must be a TemporaryFailure by the connector's timeout."""
    events: ClassVar[Sequence[str]] = EVENT_TYPES
    """The types of the events it takes (or skips)."""
    sample: ClassVar[str] = "call.missed"
    """The type of the event that is delivered where one is enough."""
    wrong: ClassVar[Mapping[str, Any]] = {}
    """A wrong value of a key, by key, where it would take a list of lists of texts."""
    timeout: ClassVar[float] = 0.25
    """Seconds a delivery may take in the tests where something is slow."""
    grace: ClassVar[float] = 1.0
    """Seconds it may take beyond that, on a busy machine."""

    # --- what a subclass says -----------------------------------------------------------------------------------

    def settings(self, place: Place) -> Mapping[str, Any]:
        """The connector's own keys, valid and with every secret it can have, so that it delivers to `place`."""
        raise NotImplementedError

    def prepare(self, place: Place) -> None:
        """Have the destination take what is delivered; the server of `place` does so by itself, with 200 and `ok`."""

    def bring_about(self, what: str, place: Place) -> None:
        """Have the destination fail or be slow in the way of that name (of `failures` or `delays`)."""
        if what == "no store":
            place.feed.is_down = True
        elif what == "refused":
            place.sink.close()
        elif what == "black hole":
            place.sink.go_dark()
        elif what == "redirect":
            place.sink.answer_with(Answer(302, headers={"Location": f"{place.url}/elsewhere"}))
        elif what.isdigit():
            place.sink.answer_with(
                Answer(int(what), b"no", {"Retry-After": f"{ASKED_TO_WAIT:g}"} if what == "429" else {})
            )
        else:
            place.sink.answer_with(Answer(manner=what))  # type: ignore[arg-type]  # one of the sink's manners

    def copies(self, event: Event, place: Place) -> int:
        """How many copies the destination keeps of an event that was delivered twice (of an `idempotent` kind).

        By HTTP: how many different requests there were, each of which must hold the event's id, by which the other side
        drops the second.
        """
        arrivals = place.sink.arrivals
        assert all(event.id in f"{one.path} {one.headers} {one.body!r}" for one in arrivals), "where is the event's id?"
        return len({(one.method, one.path, one.body) for one in arrivals})

    # --- how it is done -----------------------------------------------------------------------------------------

    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        """Where to; at the end, nothing that was logged may hold a secret."""
        with watched_place(tmp_path) as place:
            self.prepare(place)
            yield place
            self.stop(place)

    def load(self, place: Place, **changes: Any) -> Plugins:
        """The connector, made as a bridge makes it; `changes` are made to its keys (None leaves one out)."""
        keys = {"timeout": UNHURRIED, **self.settings(place), **changes}
        services = Services(MemoryHistory(), lambda _: place.feed, NobodyKnows())
        plugins = load_kind(self.kind, NAME, {key: keys[key] for key in keys if keys[key] is not None}, services)
        place.secrets |= {secret for secret in plugins.secrets if len(secret) > 3}
        return plugins

    def start(self, place: Place, **changes: Any) -> Plugins:
        """The connector, ready to deliver."""
        plugins = self.load(place, **changes)
        assert not plugins.faults, plugins.faults
        if begin := plugins.caller("connectors", NAME, "bridge_start"):
            begin()
        place.started.append(plugins)
        return plugins

    def stop(self, place: Place) -> None:
        """Stop what was started."""
        while place.started:
            if end := place.started.pop().caller("connectors", NAME, "bridge_stop"):
                end()

    def deliver(self, plugins: Plugins, event: Event, attempt: int = 1) -> Outcome:
        """Deliver an event to the first target, as the core does. Raises the failure, in a batch too."""
        call = plugins.caller("connectors", NAME, "bridge_deliver")
        assert call is not None
        target = plugins.connectors[NAME].targets[0]
        delivery = Delivery(id="dlv_contract", connector=NAME, target=target, attempt=attempt, event=event)
        answer: Any = call(delivery=delivery, batch=[delivery])
        if self.kind.max_batch > 1 and isinstance(answer, list | tuple):
            (answer,) = answer
        assert is_sound(answer), f"an answer that is no Outcome: {answer!r}"
        if isinstance(answer, DeliveryFailure):
            raise answer
        outcome: Outcome = answer
        return outcome

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test for each failure, delay and event type of the subclass."""
        for name, values in (("failure", self.failures), ("delay", ["nothing", *self.delays]), ("type_", self.events)):
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, list(values))

    # --- its settings -------------------------------------------------------------------------------------------

    def test_its_settings_are_taken_and_nothing_is_opened_when_it_is_made(self, place: Place) -> None:
        assert self.load(place).faults == []
        assert place.sink.arrivals == []

    def test_a_wrong_value_is_told_with_its_key_and_a_secret_one_is_not_shown(self, place: Place) -> None:
        text = "a wrong and secret value"
        settings = self.kind.settings.model_validate(self.settings(place))
        names = {info.alias or name: name for name, info in self.kind.settings.model_fields.items()}
        for key in self.settings(place):
            assert_named(self.load(place, **{key: self.wrong.get(key, [[text]])}).faults, key)
            if secrets_of(getattr(settings, names.get(key, key), None)):
                for wrong in (text, [text], [[text]]):
                    faults = self.load(place, **{key: wrong}).faults
                    assert text not in str(faults), f"what is said of {key} shows a secret"

    def test_a_missing_key_is_told_by_its_name(self, place: Place) -> None:
        for key, info in self.kind.settings.model_fields.items():
            if info.is_required():
                assert_named(self.load(place, **{info.alias or key: None}).faults, info.alias or key)

    def test_an_unknown_key_is_told_by_its_name(self, place: Place) -> None:
        assert_named(self.load(place, no_such_key="1").faults, "no_such_key")

    # --- its secrets --------------------------------------------------------------------------------------------

    def test_its_secrets_are_in_no_repr_and_no_name_of_a_target(self, place: Place) -> None:
        plugins = self.load(place)
        connector = plugins.connectors[NAME]
        settings = self.kind.settings.model_validate(self.settings(place))
        assert secrets_of(settings) - {""} <= plugins.secrets
        for shown in (settings, connector.plugin, connector.targets):
            assert_holds_none(f"{shown!r} {shown}", place.secrets, "a repr")

    def test_its_own_check_holds_none_of_them(self, place: Place) -> None:
        said, fault = self.start(place).check("connectors", NAME)
        assert_holds_none(f"{said} {fault}", place.secrets, "what the check says")

    # --- delivering ---------------------------------------------------------------------------------------------

    def test_an_event_of_each_type_is_delivered_or_skipped(self, type_: str, place: Place) -> None:
        outcome = self.deliver(self.start(place), sample_events()[type_])
        assert_holds_none(repr(outcome), place.secrets, "a receipt")

    @pytest.mark.parametrize("make", [bare_event, hostile_event])
    def test_what_a_pbx_left_out_and_what_a_caller_controls_do_no_harm(
        self, make: Callable[..., Event], place: Place
    ) -> None:
        plugins = self.start(place)
        for type_ in self.events:
            if not type_.startswith("bridge."):
                self.deliver(plugins, make(type_))

    def test_it_can_be_called_from_as_many_threads_as_it_says(self, place: Place) -> None:
        plugins, threads = self.start(place), 4 if self.kind.threadsafe else 1
        events = [sample_event(self.sample, id=str(n)).model_copy(update={"id": f"evt_{n}"}) for n in range(8)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda event: self.deliver(plugins, event), events))

    def test_a_repeat_is_taken_and_is_harmless_where_the_kind_says_so(self, place: Place) -> None:
        event = sample_event(self.sample)
        self.deliver(self.start(place), event)
        self.deliver(self.start(place), event, attempt=2)  # after a crash: nothing is remembered but at the destination
        if self.kind.idempotent:
            assert self.copies(event, place) == 1

    def test_its_commands_are_named_and_explained(self, place: Place) -> None:
        if commands := self.load(place).caller("connectors", NAME, "bridge_commands"):
            assert all(isinstance(one, click.Command) and one.name and one.help for one in commands())

    def test_it_leaves_no_thread_behind_that_would_keep_the_process(self, place: Place) -> None:
        before = set(threading.enumerate())
        plugins = self.start(place)
        self.deliver(plugins, sample_event(self.sample))
        self.stop(place)

        def are_gone() -> bool:
            return all(one in before or one.daemon for one in threading.enumerate())

        eventually(are_gone, "the end of its threads", self.grace)

    # --- failing ------------------------------------------------------------------------------------------------

    def test_each_failure_is_raised_as_what_it_is(self, failure: str, place: Place) -> None:
        plugins = self.start(place)
        self.bring_about(failure, place)
        raised = self._failure(plugins)

        assert type(raised) is self.failures[failure], f"{failure}: {raised!r}"
        assert str(raised).strip(), "a failure says what happened"
        shown = f"{raised!r} {''.join(traceback.format_exception(raised))}"
        assert_holds_none(shown, place.secrets, "the failure")
        assert not any(one.path == "/elsewhere" for one in place.sink.arrivals), "a redirect was followed"
        if failure.isdigit() and failure in HTTP_FAILURES:
            assert raised.status == int(failure)
        if failure == "429" and isinstance(raised, TemporaryFailure):
            assert raised.retry_after == ASKED_TO_WAIT

    def test_whatever_it_waits_for_it_is_back_by_its_timeout(self, delay: str, place: Place) -> None:
        seconds = UNHURRIED if delay == "nothing" else self.timeout
        plugins = self.start(place, timeout=seconds)
        if delay != "nothing":
            self.bring_about(delay, place)
        ended: SimpleQueue[BaseException | None] = SimpleQueue()

        def deliver() -> None:
            try:
                self.deliver(plugins, sample_event(self.sample))
            except BaseException as error:  # noqa: BLE001  # told below, if it comes in time
                ended.put(error)
            else:
                ended.put(None)

        threading.Thread(target=deliver, daemon=True).start()  # of its own: it may never come back
        try:
            failure = ended.get(timeout=seconds + self.grace)
        except Empty:
            raise AssertionError(f"a delivery takes longer than its timeout of {seconds:g} s") from None
        assert type(failure) is (type(None) if delay == "nothing" else TemporaryFailure), repr(failure)

    def _failure(self, plugins: Plugins) -> DeliveryFailure:
        try:
            outcome = self.deliver(plugins, sample_event(self.sample))
        except DeliveryFailure as failure:
            return failure
        raise AssertionError(f"it should have failed, and answered {outcome!r}")


def assert_named(faults: Sequence[Any], key: str) -> None:
    """One of the faults is of this key."""
    path = f"connectors.{NAME}.{key}"
    assert any(fault.path == path or fault.path.startswith((f"{path}.", f"{path}[")) for fault in faults), (key, faults)


def assert_holds_none(text: str, secrets: Collection[str], where: str) -> None:
    """No secret is in the text, in any form in which the bridge would have to look for it: of a URL the path, too."""
    assert Redactor(secrets).clean(text) == text, f"{where} holds a secret"
