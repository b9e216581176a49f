"""An address book in a file: found by number, read again when it has changed, kept when it is broken."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from callbridge_contacts.book import Book, card
from callbridge_contacts.directory import ContactsDirectory
from callbridge_contacts.file import BookFile
from callbridge_contacts.keeper import Keeper
from callbridge_contacts.settings import Columns, ContactsSettings

from bridge import Contact, DeliveryFailure, Misconfigured, TemporaryFailure
from bridge.testing import eventually

Open = Callable[..., ContactsDirectory]
LookUp = Callable[..., list[Contact]]

HEADING = "No;Ad Soyad;Firma;Telefon;Cep;Not\n"
AYSE = "7;Ayşe Yılmaz;Örnek A.Ş.;(0212) 320 50 62;0532 123 45 67;VIP\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "customers.csv"
    file.write_text(HEADING + AYSE, "utf-8")
    return file


class Looks:
    """A file and how it is looked at; every time it is written has a stamp of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = BookFile(path, Columns(), "TR")
        self.written = 1

    def write(self, text: str) -> None:
        self.path.write_text(text, "utf-8")
        self.written += 1
        os.utime(self.path, (self.written, self.written))

    def names(self) -> list[str] | None:
        """Who has (0212) 320 50 62, by one look at the file; None where it says nothing new."""
        book = self.file.load()
        return [one.name for one in book.who_has("+902123205062")] if book else None


@pytest.fixture
def looks(path: Path) -> Looks:
    return Looks(path)


# --- looking up ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["+902123205062", "+905321234567"])
def test_a_contact_is_found_by_each_of_its_numbers(
    number: str, path: Path, open_directory: Open, look_up: LookUp
) -> None:
    found = look_up(open_directory(path=str(path)), number)

    assert found == [Contact(name="Ayşe Yılmaz", company="Örnek A.Ş.", id="7", note="VIP")]


@pytest.mark.parametrize("number", ["+903205062", "+90205062", "+492123205062", "+902163205062", "+12123205062"])
def test_an_end_in_common_is_no_match(number: str, path: Path, open_directory: Open, look_up: LookUp) -> None:
    assert look_up(open_directory(path=str(path)), number) == []


def test_a_short_number_in_the_file_matches_nobody() -> None:
    book = Book([made for made in (card("Ali", phones=["3205062", "205062", "1001"]),) if made], "TR")

    assert book.who_has("+902123205062") == []


def test_everybody_with_the_number_is_found_and_a_repeated_row_once(
    path: Path, open_directory: Open, look_up: LookUp
) -> None:
    path.write_text(HEADING + AYSE + AYSE + "8;Fatma;;+90 212 320 50 62;;\n", "utf-8")

    assert [one.name for one in look_up(open_directory(path=str(path)))] == ["Ayşe Yılmaz", "Fatma"]


def test_national_numbers_are_of_the_region(path: Path, open_directory: Open, look_up: LookUp) -> None:
    path.write_text("Name,Phone\nHans,030 89680211\n")

    assert [one.name for one in look_up(open_directory("DE", path=str(path)), "+493089680211")] == ["Hans"]


def test_a_vcard_file_is_known_by_its_name_or_its_beginning(
    tmp_path: Path, open_directory: Open, look_up: LookUp
) -> None:
    for name in ("contacts.vcf", "contacts.txt"):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbfBEGIN:VCARD\r\nFN:Ali\r\nTEL:0212 3205062\r\nEND:VCARD\r\n")
        assert [one.name for one in look_up(open_directory(path=str(tmp_path / name)))] == ["Ali"]


def test_a_check_says_how_many_are_there(path: Path, open_directory: Open) -> None:
    assert open_directory(path=str(path)).bridge_check() == f"{path}: 1 contacts with 2 numbers"


# --- reading again ------------------------------------------------------------------------------------------------


def test_a_changed_file_is_read_again_once_it_changes_no_more(looks: Looks) -> None:
    seen = [looks.names(), looks.names()]
    looks.write(HEADING + AYSE.replace("Ayşe", "Fatma"))
    seen += [looks.names(), looks.names(), looks.names()]

    assert seen == [["Ayşe Yılmaz"], None, None, ["Fatma Yılmaz"], None]


def test_a_file_that_is_still_being_written_is_left_alone(looks: Looks) -> None:
    looks.names()
    for length in (len(HEADING), len(HEADING) + 10, len(HEADING) + 30):
        looks.write((HEADING + AYSE)[:length])
        assert looks.names() is None
    looks.write(HEADING + AYSE)

    assert [looks.names(), looks.names()] == [None, ["Ayşe Yılmaz"]]


def test_a_file_moved_into_its_place_is_another(looks: Looks) -> None:
    looks.names()
    before = looks.path.stat()
    other = looks.path.with_name("new.csv")
    other.write_text((HEADING + AYSE).replace("Ayşe", "Esra"), "utf-8")
    os.utime(other, ns=(before.st_mtime_ns, before.st_mtime_ns))
    other.replace(looks.path)

    assert [looks.names(), looks.names()] == [None, ["Esra Yılmaz"]]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("", "columns.phone"),
        (HEADING, "nobody with a telephone number"),
        (HEADING + '7;"Ayşe', "not complete"),
        ("<html></html>", "columns.phone"),
    ],
)
def test_a_broken_file_is_told_at_every_look_until_it_is_mended(looks: Looks, broken: str, words: str) -> None:
    looks.names()
    looks.write(broken)
    assert looks.names() is None
    for _ in range(2):
        with pytest.raises(Misconfigured, match=words):
            looks.names()
    looks.write(HEADING + AYSE)

    seen = []
    for _ in range(2):
        with suppress(Misconfigured):
            seen.append(looks.names())
    assert seen[-1] == ["Ayşe Yılmaz"]


def test_a_running_directory_takes_over_changes_by_itself(path: Path, open_directory: Open, look_up: LookUp) -> None:
    directory = open_directory(path=str(path))
    directory.bridge_start()
    assert [one.name for one in look_up(directory)] == ["Ayşe Yılmaz"]
    path.write_text(HEADING + AYSE.replace("Ayşe", "Fatma"), "utf-8")

    eventually(lambda: [one.name for one in look_up(directory)] == ["Fatma Yılmaz"], "the new contact")


def test_a_missing_file_is_told_and_looked_for_again(tmp_path: Path, open_directory: Open, look_up: LookUp) -> None:
    path = tmp_path / "customers.csv"
    directory = open_directory(path=str(path))
    with pytest.raises(DeliveryFailure, match=r"customers\.csv cannot be read: No such file"):
        directory.bridge_check()
    with pytest.raises(TemporaryFailure, match="cannot be read"):
        look_up(directory)
    path.write_text(HEADING + AYSE, "utf-8")

    def found() -> list[Contact] | None:
        try:
            return look_up(directory)
        except TemporaryFailure:
            return None

    assert eventually(found, "the contact")[0].name == "Ayşe Yılmaz"


# --- keeping ------------------------------------------------------------------------------------------------------


class Shelf:
    """A place that is told what to say at its next looks, the last for ever."""

    where = "the shelf"
    every = 0.01

    def __init__(self, *answers: Book | Exception | None) -> None:
        self.answers = list(answers)
        self.looks = 0

    def load(self) -> Book | None:
        self.looks += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        pass


def kept(shelf: Any) -> Keeper:
    return Keeper(shelf, logging.getLogger("callbridge.directories.shelf"))


BOOK = Book((), "TR")


@pytest.mark.parametrize("trouble", [Misconfigured("the shelf fell"), ZeroDivisionError("odd")])
def test_trouble_is_told_once_and_once_when_it_is_over_and_costs_nothing_known(
    trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf(BOOK, trouble, trouble, trouble, None)
    keeper = kept(shelf)
    keeper.start()
    eventually(lambda: shelf.looks > 6, "some looks")
    keeper.stop()

    assert keeper.book(0) is BOOK
    first, last = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert first.endswith("what was read before is still used")
    assert last == "the shelf can be used again"


def test_a_lookup_waits_for_the_first_load_so_long_and_no_longer() -> None:
    over = threading.Event()

    class Slow(Shelf):
        def load(self) -> Book | None:
            assert over.wait(30)
            return BOOK

    keeper = kept(Slow())
    began = time.monotonic()
    with pytest.raises(TemporaryFailure, match="not loaded yet"):
        keeper.book(0.05)
    assert time.monotonic() - began < 5
    over.set()
    assert keeper.book(20) is BOOK
    keeper.stop()


# --- settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "either `path`"),
        ({"path": "a.csv", "carddav": "https://example.com"}, "either `path`"),
        ({"path": "a.csv", "password": "x", "username": "y"}, "for `carddav`"),
        ({"carddav": "https://example.com", "username": "y"}, "go together"),
        ({"carddav": "https://example.com", "columns": {"name": "x"}}, "of a CSV file"),
        ({"carddav": "ftp://example.com"}, "not an http"),
        ({"path": "a.csv", "columns": {"names": "x"}}, "columns.names"),
        ({"path": "a.csv", "refresh": "soon"}, "is no duration"),
    ],
)
def test_settings_that_do_not_fit_say_what_is_wrong(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ContactsSettings.model_validate(keys)


def test_a_column_is_one_heading_or_several() -> None:
    columns = Columns.model_validate({"name": "Ad Soyad", "phone": ["Telefon", "Cep"]})

    assert (columns.name, columns.phone) == (("Ad Soyad",), ("Telefon", "Cep"))
