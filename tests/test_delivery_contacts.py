"""Kinds that want the contact get it with the delivery, the same on every try; a directory costs its budget at most."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bridge.delivery.lane import ASK_SECONDS
from bridge.errors import TemporaryFailure
from bridge.model import Contact, Number
from tests.plugins_for_tests.rig import Chat, Gate, connector, rig

WANTS = connector(kind={"wants_contact": True})


class Book:
    """A directory that knows one name, and counts how often it is asked."""

    def __init__(self, name: str | None) -> None:
        self.name = name
        self.asked: list[str] = []

    def __call__(self, number: Number) -> Contact | None:
        self.asked.append(number.e164 or "")
        return Contact(name=self.name) if self.name else None


def names(chat: Chat) -> list[str | None]:
    """The names of the contacts that came with the deliveries."""
    return [one.event.data.contact and one.event.data.contact.name for one in chat.got]


def test_a_kind_that_wants_the_contact_gets_it_with_the_event(tmp_path: Path) -> None:
    chat, book = Chat(), Book("Ayşe")
    with rig(tmp_path, (WANTS, chat), lookups=[("book", book, 1.5)]) as bridge:
        bridge.miss()
        bridge.settle()

        assert chat.got[0].event.data.contact == Contact(name="Ayşe", directory="book")
        assert book.asked == ["+902123205062"]


def test_a_kind_that_does_not_want_it_does_not_wait_for_it(tmp_path: Path) -> None:
    chat, book = Chat(), Book("Ayşe")
    with rig(tmp_path, (connector(), chat), lookups=[("book", book, 1.5)]) as bridge:
        bridge.miss()
        bridge.settle()

        assert (names(chat), book.asked) == ([None], [])


@pytest.mark.parametrize("first", ["Ayşe", None])
def test_a_retry_says_the_same_though_the_directory_has_changed_its_mind(tmp_path: Path, first: str | None) -> None:
    chat, book = Chat(TemporaryFailure("down"), None), Book(first)
    with rig(tmp_path, (WANTS, chat), lookups=[("book", book, 1.5)]) as bridge:
        bridge.miss()
        bridge.settle()
        book.name = "Fatma"
        bridge.advance(5)

        assert names(chat) == [first, first]
        assert len(book.asked) == 1


def test_a_directory_that_hangs_costs_only_its_budget(tmp_path: Path) -> None:
    gate = Gate()
    chat, book = Chat(), Book("Ayşe")
    with rig(tmp_path, (WANTS, chat), lookups=[("hangs", lambda **_: gate(()), 0.1), ("book", book, 5.0)]) as bridge:
        began = time.monotonic()
        bridge.miss()
        bridge.settle()
        took = time.monotonic() - began
        gate.open()

        assert names(chat) == ["Ayşe"]
        assert 0.1 <= took < 5


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1)], ids=repr)
def test_a_directory_that_raises_does_not_cost_the_delivery(tmp_path: Path, error: BaseException) -> None:
    def broken(number: Number) -> Contact | None:
        raise error

    chat = Chat()
    with rig(tmp_path, (WANTS, chat), lookups=[("broken", broken, 1.5)]) as bridge:
        bridge.miss()
        bridge.settle()

        assert (names(chat), bridge.states()) == ([None], ["delivered"])


def test_a_batch_waits_for_slow_directories_only_so_long_and_the_rest_comes_with_the_next(tmp_path: Path) -> None:
    gate = Gate()
    chat = Chat(lambda batch: gate(batch) or [None], lambda batch: [None] * len(batch))
    kind = connector(kind={"wants_contact": True, "max_batch": 10, "threadsafe": False})

    def slow(number: Number) -> Contact:
        bridge.clock.passed += ASK_SECONDS / 2
        return Contact(name=number.raw)

    with rig(tmp_path, (kind, chat), lookups=[("slow", slow, 5.0)]) as bridge:
        callers = [f"021232050{number}" for number in range(20, 29)]
        bridge.post("hangup", "first", caller=callers[0])
        gate.wait_entered()
        for caller in callers[1:]:
            bridge.post("hangup", caller, caller=caller)
        gate.open()
        bridge.settle()

        assert sorted(map(str, names(chat))) == callers
        assert max(map(len, chat.calls)) == 3
        assert bridge.states() == ["delivered"] * 9


def test_a_slow_directory_is_no_fault_of_the_connector(tmp_path: Path) -> None:
    def slow(number: Number) -> None:
        bridge.clock.passed += 10

    with rig(tmp_path, (WANTS, Chat()), lookups=[("slow", slow, 5.0)]) as bridge:
        bridge.miss()
        bridge.settle()

        assert [row["seconds"] for row in bridge.attempts()] == [0.0]
