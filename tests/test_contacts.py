"""Who is calling: what the directories are asked, how long they may take, and what is remembered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bridge.contacts import (
    ASIDE_FOR,
    AT_ONCE,
    DOWN_AFTER,
    FOUND_FOR,
    SECOND_BEST_FOR,
    UNKNOWN_FOR,
    Directories,
    Directory,
    agreed,
)
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
    "answer", [ValueError("x"), SystemExit(1), KeyboardInterrupt(), "Ayşe", {"name": "Ayşe"}, ["Ayşe"]], ids=repr
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


def test_a_directory_with_too_many_lookups_under_way_is_not_asked_until_it_lets_go_of_one() -> None:
    over, begun = threading.Event(), threading.Semaphore(0)

    def slow(number: Number) -> Contact:
        begun.release()
        assert over.wait(30)
        return AYSE

    directories = Directories([("slow", slow, 30.0)])
    waiting = [threading.Thread(target=directories.who_is, args=(call(number),)) for number in range(AT_ONCE)]
    for thread in waiting:
        thread.start()
    assert all(begun.acquire(timeout=20) for _ in waiting)
    (answer,) = directories.ask_all(call(100).caller)
    over.set()
    for thread in waiting:
        thread.join()

    assert answer.error == "too many lookups are under way"
    assert eventually(lambda: directories.who_is(call(300)))


@pytest.mark.parametrize("trouble", ["hangs", "fails"])
def test_nobody_waits_for_a_directory_that_is_down_until_it_is_back(
    trouble: str, hang: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    asked: list[str | None] = []
    is_back = False

    def lookup(number: Number) -> Contact | None:
        asked.append(number.e164)
        if is_back:
            return AYSE
        if trouble == "hangs":
            hang()
        raise OSError("no route")

    directories = Directories([("crm", lookup, 0.05)], clock=lambda: now[0])
    for number in range(DOWN_AFTER + 20):
        assert directories.who_is(call(number)) is None
    assert len(asked) == DOWN_AFTER
    now[0] += ASIDE_FOR
    for number in range(5):
        assert directories.who_is(call(number)) is None
    assert len(asked) == DOWN_AFTER + 1
    now[0] += ASIDE_FOR
    is_back = True

    assert [bool(directories.who_is(call(number))) for number in range(3)] == [True] * 3
    said = [record.message for record in caplog.records]
    assert len(said) == DOWN_AFTER + 1
    assert "it is down" in said[-2]
    assert said[-1] == "directory crm works again"


def test_a_number_nobody_knows_is_told_from_one_that_not_all_could_be_asked_about() -> None:
    unknown, broken = ("book", Book(None), 1.5), ("broken", Book(OSError("no route")), 1.5)

    assert Directories([unknown]).find(call().caller) == ()
    assert Directories([broken, unknown]).find(call().caller) is None
    assert Directories([unknown, broken]).find(call().caller) is None


def test_what_was_found_while_a_preferred_directory_was_down_is_remembered_shortly() -> None:
    now = [0.0]
    preferred, book = Book(OSError("no route")), Book(AYSE)
    directories = Directories([("preferred", preferred, 1.5), ("book", book, 1.5)], clock=lambda: now[0])
    first = directories.who_is(call())
    preferred.answer = FATMA
    again = directories.who_is(call())
    now[0] = SECOND_BEST_FOR + 1
    later = directories.who_is(call())

    assert [one.directory if one else None for one in (first, again, later)] == ["book", "book", "preferred"]


def test_a_number_is_looked_up_once_however_many_ask_for_it_at_a_time() -> None:
    let_go, asked = threading.Event(), []

    def lookup(number: Number) -> Contact:
        asked.append(number.e164)
        assert let_go.wait(20)
        return AYSE

    directory = Directory("crm", lookup, 20.0)
    answers = [directory.ask(call(number).caller) for number in (1, 1, 2, 1, 2)]
    let_go.set()

    assert [len(answer().contacts) for answer in answers] == [1] * 5
    assert sorted(map(str, asked)) == ["+902123200001", "+902123200002"]


def test_lookups_that_fail_together_are_one_failure() -> None:
    book = Book(OSError("no route"))
    directory = Directory("crm", book, 20.0)
    for began in range(DOWN_AFTER):
        waiting = [directory.ask(call(number).caller) for number in range(began, began + 5)]
        errors = {wait().error for wait in waiting}
        assert errors == {"no route"}

    assert directory.ask(call().caller)().error == "it is down: it is asked again in a while"


# --- several with one number --------------------------------------------------------------------------------------

FATMA = Contact(name="Fatma", company="Örnek A.Ş.", id="8")


def test_of_several_with_the_number_all_are_known_and_none_is_guessed() -> None:
    directories = Directories([("crm", Book([AYSE, FATMA]), 1.5), ("second", Book(AYSE), 1.5)])
    named = tuple(one.model_copy(update={"directory": "crm"}) for one in (AYSE, FATMA))

    assert directories.find(call().caller) == named
    assert directories.who_is(call()) is None


def test_of_several_with_one_name_that_is_said_which_all_agree_on() -> None:
    twice = Contact(name="Ayşe", company="Örnek A.Ş.", id="9", note="VIP")

    assert agreed([AYSE, twice]) == Contact(name="Ayşe", company="Örnek A.Ş.")
    assert agreed([AYSE, AYSE]) == AYSE
    assert agreed([]) is None


@pytest.mark.parametrize("nobody", [[], ()])
def test_nobody_in_a_list_is_an_unknown_number(nobody: object) -> None:
    book = Book(nobody)
    directories = Directories([("crm", book, 1.5)])

    assert [directories.who_is(call()), directories.who_is(call())] == [None, None]
    assert book.asked == 1


def test_all_directories_can_be_asked_what_they_say_and_how_fast(hang: Callable[..., None]) -> None:
    lookups = [("knows", Book(AYSE), 5.0), ("not", Book(None), 5.0), ("down", Book(OSError("no route")), 5.0)]
    knows, unknown, down, late = Directories([*lookups, ("hangs", hang, 0.05)]).ask_all(call().caller)

    assert [one.name for one in knows.contacts] == ["Ayşe"]
    assert 0 <= knows.seconds < 5
    assert (unknown.contacts, unknown.error) == ((), None)
    assert (down.contacts, down.error) == ((), "no route")
    assert (late.contacts, late.error) == ((), "no answer within 0.05 s")


def test_without_directories_nobody_is_asked() -> None:
    assert not Directories([])
    assert Directories([]).who_is(call()) is None


def test_who_cannot_wait_for_the_budget_gets_nobody_and_the_directory_is_not_down_for_that() -> None:
    let_go = threading.Event()
    directories = Directories([("slow", lambda number: let_go.wait(20) and number and AYSE, 5.0)])
    for _ in range(4):
        assert directories.find(call().caller, 0.01) is None
    let_go.set()

    assert [contact.name for contact in directories.find(call().caller)] == [AYSE.name]
