"""Who is calling: what the directories are asked, how long they may take, and what is remembered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bridge.contacts import AT_ONCE, FOUND_FOR, UNKNOWN_FOR, Directories
from bridge.model import Call, Contact, Number
from bridge.testing import eventually, sample_event

WITHHELD = Number(raw="", e164=None, display="Withheld number", kind="withheld")


def call(number: int = 0, **changes: Any) -> Call:
    """A call from one of many numbers."""
    caller = Number(raw=str(number), e164=f"+90212320{number:04}", display=str(number), kind="external")
    made = sample_event(caller=caller, **changes).call
    assert made is not None
    return made


class Book:
    """A directory that counts how often it is asked."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked = 0

    def __call__(self, number: Number) -> Any:
        self.asked += 1
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
def hang() -> Iterator[Callable[..., None]]:
    """A lookup that does not return before the test is over."""
    over = threading.Event()
    yield lambda **_: over.wait(30) and None
    over.set()


AYSE = Contact(name="Ayşe", company="Örnek A.Ş.", id="7")


def test_the_contact_carries_the_name_of_its_directory() -> None:
    assert Directories([("crm", Book(AYSE), 1.5)]).who_is(call()) == AYSE.model_copy(update={"directory": "crm"})


def test_the_first_directory_that_knows_wins() -> None:
    books = [("first", Book(None), 1.5), ("second", Book(AYSE), 1.5), ("third", Book(Contact(name="other")), 1.5)]
    contact = Directories(books).who_is(call())

    assert contact is not None
    assert contact.directory == "second"


def test_the_outside_party_is_looked_up_the_caller_inbound_and_the_called_outbound() -> None:
    asked: list[str | None] = []
    directories = Directories([("crm", lambda number: asked.append(number.e164), 1.5)])
    outside = Number(raw="05301234567", e164="+905301234567", display="0530 123 45 67", kind="external")
    directories.who_is(call(1))
    directories.who_is(call(1, direction="outbound", called=outside))

    assert asked == ["+902123200001", "+905301234567"]


@pytest.mark.parametrize(
    "changes", [{"caller": WITHHELD}, {"direction": "outbound", "called": None}, {"direction": "internal"}]
)
def test_withheld_unknown_and_inside_numbers_are_not_looked_up(changes: dict[str, Any]) -> None:
    book = Book(AYSE)
    made = sample_event(**changes).call
    assert made is not None

    assert Directories([("crm", book, 1.5)]).who_is(made) is None
    assert book.asked == 0


@pytest.mark.parametrize(("answer", "seconds"), [(AYSE, FOUND_FOR), (None, UNKNOWN_FOR)])
def test_what_was_said_is_remembered_for_a_while(answer: Contact | None, seconds: float) -> None:
    now = [0.0]
    book = Book(answer)
    directories = Directories([("crm", book, 1.5)], clock=lambda: now[0])
    asked = []
    for at in (0.0, seconds - 1, seconds + 1):
        now[0] = at
        directories.who_is(call())
        asked.append(book.asked)

    assert asked == [1, 1, 2]


@pytest.mark.parametrize(
    "answer", [ValueError("x"), SystemExit(1), KeyboardInterrupt(), "Ayşe", {"name": "Ayşe"}], ids=repr
)
def test_a_directory_that_fails_or_talks_nonsense_does_not_know_and_is_asked_again(answer: object) -> None:
    broken, book = Book(answer), Book(AYSE)

    assert Directories([("broken", broken, 1.5)]).who_is(call()) is None
    directories = Directories([("broken", broken, 1.5), ("book", book, 1.5)])
    contact = directories.who_is(call())
    assert contact is not None
    assert contact.directory == "book"
    alone = Directories([("broken", broken, 1.5)])
    before = broken.asked
    alone.who_is(call())
    alone.who_is(call())
    assert broken.asked == before + 2


def test_a_directory_that_hangs_costs_its_budget_and_not_more(hang: Callable[..., None]) -> None:
    directories = Directories([("hangs", hang, 0.05)])
    began = time.monotonic()

    assert directories.who_is(call()) is None
    assert 0.05 <= time.monotonic() - began < 2


def test_all_are_asked_at_once_so_that_budgets_do_not_add_up(hang: Callable[..., None]) -> None:
    directories = Directories([(f"hangs{number}", hang, 0.2) for number in range(8)])
    began = time.monotonic()
    directories.who_is(call())

    assert time.monotonic() - began < 8 * 0.2


def test_a_directory_that_hangs_takes_no_threads_from_another(hang: Callable[..., None]) -> None:
    directories = Directories([("hangs", hang, 0.01), ("book", Book(AYSE), 5.0)])

    assert all(directories.who_is(call(number)) for number in range(AT_ONCE + 5))


def test_a_directory_that_hangs_in_all_its_threads_costs_nothing_until_it_lets_go() -> None:
    over = threading.Event()

    def slow(number: Number) -> Contact:
        assert over.wait(30)
        return AYSE

    directories = Directories([("slow", slow, 0.01)])
    for number in range(AT_ONCE):
        directories.who_is(call(number))
    began = time.monotonic()
    for number in range(100, 200):
        assert directories.who_is(call(number)) is None
    took = time.monotonic() - began
    over.set()

    assert took < 100 * 0.01
    assert eventually(lambda: directories.who_is(call(300)))


def test_without_directories_nobody_is_asked() -> None:
    assert not Directories([])
    assert Directories([]).who_is(call()) is None
