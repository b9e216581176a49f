"""The contract of connectors finds what it is there to find: each connector here has one flaw."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import BaseModel, SecretStr

from bridge import (
    ConnectorContext,
    ConnectorKind,
    Delivery,
    Fault,
    Outcome,
    Receipt,
    SecretUrl,
    SettingsError,
    TemporaryFailure,
    hookimpl,
)
from bridge.testing import ConnectorContract, Place, bare_event
from bridge.testing.contract import watched_place


class ParrotSettings(BaseModel):
    url: SecretUrl
    token: SecretStr


class Parrot:
    """A connector without a flaw."""

    def __init__(self, settings: ParrotSettings, context: ConnectorContext) -> None:
        self.url = settings.url.get_secret_value()
        self.token = settings.token.get_secret_value()
        self.context = context

    @hookimpl
    def bridge_deliver(self, delivery: Delivery) -> Outcome:
        self.send({"id": delivery.event.id, "who": delivery.event.call and delivery.event.call.caller.raw})
        return Receipt(text="sent")

    def send(self, message: Mapping[str, Any]) -> None:
        self.context.http.request("POST", self.url, json=message).raise_for_failure()


class Contract(ConnectorContract):
    timeout, grace = 0.1, 0.3

    def __init__(self, create: Callable[..., object] = Parrot, settings: type[BaseModel] = ParrotSettings) -> None:
        kind = ConnectorKind(name="parrot", create=create, settings=settings, idempotent=True)
        self.kind = kind  # type: ignore[misc]  # of this very contract

    def settings(self, place: Place) -> dict[str, object]:
        return {"url": f"{place.url}/s3cret-path", "token": "s3cret-token"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with watched_place(tmp_path) as place:
        yield place


REPR, FAILURE = "test_its_secrets_are_in_no_repr_and_no_name_of_a_target", "test_each_failure_is_raised_as_what_it_is"
TYPE, DELAY = (
    "test_an_event_of_each_type_is_delivered_or_skipped",
    "test_whatever_it_waits_for_it_is_back_by_its_timeout",
)
REPEAT, THREADS = "test_a_repeat_is_taken_and_is_harmless_where_the_kind_says_so", "test_it_leaves_no_thread_behind"
MADE = "test_its_settings_are_taken_and_nothing_is_opened_when_it_is_made"
BARE = "test_what_a_pbx_left_out_and_what_a_caller_controls_do_no_harm"
WRONG = "test_a_wrong_value_is_told_with_its_key_and_a_secret_one_is_not_shown"


class TalksInItsRepr(Parrot):
    def __repr__(self) -> str:
        return f"Parrot({self.url})"


class TalksInItsFailures(Parrot):
    def send(self, message: Mapping[str, Any]) -> None:
        raise TemporaryFailure(f"could not post to {self.url}")


class CallsEverythingTemporary(Parrot):
    def send(self, message: Mapping[str, Any]) -> None:
        answer = self.context.http.request("POST", self.url, json=message)
        if answer.status != 200:
            raise TemporaryFailure(f"HTTP {answer.status}", status=answer.status)


class HearsNoRefusal(Parrot):
    def send(self, message: Mapping[str, Any]) -> None:
        self.context.http.request("POST", self.url, json=message)


class FollowsAnybody(Parrot):
    def send(self, message: Mapping[str, Any]) -> None:
        answer = requests.post(self.url, json=message, timeout=self.context.timeout)
        if not answer.ok:
            raise TemporaryFailure(f"HTTP {answer.status_code}", status=answer.status_code)


class HasPatience(Parrot):
    def send(self, message: Mapping[str, Any]) -> None:
        requests.post(self.url, json=message, timeout=5)


class RaisesWhatItGets(Parrot):
    def send(self, message: Mapping[str, Any]) -> None:
        requests.post(self.url, json=message, timeout=self.context.timeout).raise_for_status()


class ForgetsTheId(Parrot):
    def send(self, message: Mapping[str, Any]) -> None:
        super().send({**message, "id": str(uuid.uuid4())})


class NeverSaysTheSameTwice(Parrot):
    def send(self, message: Mapping[str, Any]) -> None:
        super().send({**message, "try": str(uuid.uuid4())})


class AnswersWithNonsense(Parrot):
    @hookimpl
    def bridge_deliver(self, delivery: Delivery) -> Any:
        return "sent"


class BelievesThatAllIsKnown(Parrot):
    @hookimpl
    def bridge_deliver(self, delivery: Delivery) -> Outcome:
        call = delivery.event.call
        self.send({"id": delivery.event.id, "to": call and call.called.display})  # type: ignore[union-attr]  # the flaw
        return None


class IsEager(Parrot):
    def __init__(self, settings: ParrotSettings, context: ConnectorContext) -> None:
        super().__init__(settings, context)
        self.send({"hello": "there"})


class LeavesAThread(Parrot):
    @hookimpl
    def bridge_start(self) -> None:
        threading.Timer(1.5, str).start()


class AnySettings(BaseModel):
    url: Any
    token: SecretStr


@pytest.mark.parametrize(
    ("parrot", "test", "arguments", "said"),
    [
        (TalksInItsRepr, REPR, {}, "a repr holds a secret"),
        (TalksInItsFailures, FAILURE, {"failure": "500"}, "the failure holds a secret"),
        (CallsEverythingTemporary, FAILURE, {"failure": "401"}, "401: TemporaryFailure"),
        (CallsEverythingTemporary, FAILURE, {"failure": "429"}, "retry_after"),
        (HearsNoRefusal, FAILURE, {"failure": "500"}, "it should have failed"),
        (FollowsAnybody, FAILURE, {"failure": "redirect"}, "Exceeded 30 redirects"),
        (RaisesWhatItGets, FAILURE, {"failure": "500"}, "500 Server Error"),
        (HasPatience, DELAY, {"delay": "silence"}, "longer than its timeout"),
        (HasPatience, DELAY, {"delay": "black hole"}, "longer than its timeout"),
        (FollowsAnybody, DELAY, {"delay": "drip"}, "longer than its timeout"),
        (ForgetsTheId, REPEAT, {}, "where is the event's id"),
        (NeverSaysTheSameTwice, REPEAT, {}, "3 == 1"),
        (AnswersWithNonsense, TYPE, {"type_": "other"}, "no Outcome"),
        (BelievesThatAllIsKnown, BARE, {"make": bare_event}, "NoneType"),
        (IsEager, MADE, {}, "Arrival"),
        (LeavesAThread, f"{THREADS}_that_would_keep_the_process", {}, "end of its threads"),
    ],
)
def test_a_flaw_is_found(place: Place, parrot: Any, test: str, arguments: dict[str, Any], said: str) -> None:
    getattr(Contract(), test)(place=place, **{**arguments, **({"failure": "503"} if "failure" in arguments else {})})
    if parrot is IsEager:
        place.sink.arrivals.clear()
    with pytest.raises(Exception, match=said):  # an assertion of the suite, or what the connector should not raise
        getattr(Contract(parrot), test)(place=place, **arguments)


class TellsWhatItWasGiven(Parrot):
    def __init__(self, settings: ParrotSettings, context: ConnectorContext) -> None:
        super().__init__(settings, context)
        if " " in self.token:
            raise SettingsError([Fault(f"connectors.{context.name}.token", f"{self.token} is no token")])


def test_a_secret_in_what_is_said_of_the_settings_is_found(place: Place) -> None:
    with pytest.raises(AssertionError, match="what is said of token shows a secret"):
        getattr(Contract(TellsWhatItWasGiven), WRONG)(place=place)


def test_settings_that_take_anything_are_found(place: Place) -> None:
    getattr(Contract(), WRONG)(place=place)
    with pytest.raises(AssertionError, match="url"):
        getattr(Contract(settings=AnySettings), WRONG)(place=place)


class Chatters(Parrot):
    def send(self, message: Mapping[str, Any]) -> None:
        self.context.log.debug("posting to %s", self.url)
        super().send(message)


def test_a_secret_in_the_log_is_found(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="the log holds a secret"), watched_place(tmp_path) as place:
        getattr(Contract(Chatters), REPEAT)(place=place)
