"""CardDAV, against a real Radicale server, and against answers it does not give."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from callbridge_contacts.carddav import CARDS_AT_ONCE, CardDav
from callbridge_contacts.directory import ContactsDirectory

from bridge import Contact, HttpClient, Misconfigured, PermanentFailure, TemporaryFailure
from bridge.testing import Answer, Arrival, RecordingSink, eventually, recording_sink

if TYPE_CHECKING:
    from .conftest import Radicale

Open = Callable[..., ContactsDirectory]
LookUp = Callable[..., list[Contact]]
USER = {"username": "ayse", "password": "gizli-parola"}
CREDENTIALS = ("ayse", "gizli-parola")


@pytest.fixture
def server() -> Iterator[RecordingSink]:
    with recording_sink() as sink:
        yield sink


# --- Radicale -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/", "/ayse/", "/ayse/customers/", "/.well-known/carddav"])
def test_the_contacts_are_found_from_any_address_of_the_server(
    path: str, radicale: Radicale, open_directory: Open, look_up: LookUp
) -> None:
    radicale.put("Ayşe Yılmaz", "0 (212) 320 50 62", more=["ORG:Örnek A.Ş.;Satış", "NOTE:VIP"])
    directory = open_directory(carddav=f"{radicale.url}{path}", **USER)

    assert look_up(directory) == [Contact(name="Ayşe Yılmaz", company="Örnek A.Ş.", id="Ayşe Yılmaz", note="VIP")]
    where = radicale.url.removeprefix("http://")
    assert directory.bridge_check() == f"{where}: 1 contacts with 1 numbers"


def test_all_address_books_of_the_user_are_read_unless_one_is_named(
    radicale: Radicale, open_directory: Open, look_up: LookUp
) -> None:
    radicale.put("Ayşe", "02123205062")
    other = radicale.book
    radicale.book = f"{radicale.url}/ayse/private/"
    radicale.make_book(radicale.book)
    radicale.put("Fatma", "05321234567")

    everything = open_directory(carddav=radicale.url, **USER)
    assert [one.name for one in look_up(everything, "+905321234567")] == ["Fatma"]
    assert look_up(open_directory(carddav=other, **USER), "+905321234567") == []


def test_what_changes_on_the_server_is_taken_over_and_nothing_is_fetched_twice(radicale: Radicale) -> None:
    dav = CardDav(radicale.url, CREDENTIALS, 300, "TR", HttpClient(timeout=5.0))
    for number in range(CARDS_AT_ONCE + 5):
        radicale.put(f"c{number}", f"0532 123 45 {number:02}")
    first = dav.load()
    assert first is not None
    assert first.contacts == CARDS_AT_ONCE + 5
    assert dav.load() is None

    radicale.put("Ayşe", "0532 123 45 00", file="c0")
    radicale.put("new", "0533 123 45 67")
    radicale.delete("c1")
    asked: list[str] = []
    ask = dav._dav.ask
    dav._dav.ask = lambda method, *rest, **more: asked.append(method) or ask(method, *rest, **more)  # type: ignore[method-assign, func-returns-value]
    book = dav.load()
    dav.close()

    assert book is not None
    assert book.contacts == CARDS_AT_ONCE + 5
    assert [one.name for one in book.who_has("+905321234500")] == ["Ayşe"]
    assert [one.name for one in book.who_has("+905331234567")] == ["new"]
    assert book.who_has("+905321234501") == []
    assert asked.count("REPORT") == 1


def test_it_is_looked_at_again_and_again(radicale: Radicale, open_directory: Open, look_up: LookUp) -> None:
    directory = open_directory(carddav=radicale.url, **USER, refresh=0.05)
    directory.bridge_start()
    assert look_up(directory) == []
    radicale.put("Ayşe", "02123205062")

    assert [one.name for one in eventually(lambda: look_up(directory), "the new contact")] == ["Ayşe"]


def test_a_server_that_goes_away_leaves_what_was_known_and_is_told_once(
    radicale: Radicale, open_directory: Open, look_up: LookUp, caplog: pytest.LogCaptureFixture
) -> None:
    radicale.put("Ayşe", "02123205062")
    directory = open_directory(carddav=radicale.url, **USER, refresh=0.05)
    assert look_up(directory)
    radicale.stop()

    eventually(lambda: caplog.records, "the warning")
    with pytest.raises(TemporaryFailure, match="refused the connection"):
        directory.bridge_check()
    assert [one.name for one in look_up(directory)] == ["Ayşe"]
    (said,) = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert "what was read before is still used" in said


def test_a_wrong_password_is_told_without_it(radicale: Radicale, open_directory: Open, look_up: LookUp) -> None:
    directory = open_directory(carddav=radicale.url, username="ayse", password="yanlis-parola")

    with pytest.raises(Misconfigured, match="401") as caught:
        directory.bridge_check()
    assert "yanlis-parola" not in str(caught.value)
    with pytest.raises(TemporaryFailure, match="401"):
        look_up(directory)


# --- what other servers answer ------------------------------------------------------------------------------------


def multistatus(*responses: tuple[str, str]) -> bytes:
    """An answer about resources: the href of each and its properties."""
    inner = "".join(
        f"<d:response><d:href>{href}</d:href><d:propstat><d:prop>{properties}</d:prop>"
        "<d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
        for href, properties in responses
    )
    return (
        '<d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:carddav" xmlns:s="http://calendarserver.org/ns/">'
        f"{inner}</d:multistatus>"
    ).encode()


def xml(body: bytes) -> Answer:
    return Answer(207, body, {"Content-Type": "application/xml"})


BOOK = "<d:resourcetype><d:collection/><c:addressbook/></d:resourcetype>"


def load(url: str) -> object:
    dav = CardDav(url, CREDENTIALS, 300, "TR", HttpClient(timeout=5.0))
    try:
        return dav.load()
    finally:
        dav.close()


def test_redirects_lead_on_and_hrefs_may_be_quoted_in_another_way(server: RecordingSink) -> None:
    card = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ayşe\r\nTEL:02123205062\r\nEND:VCARD\r\n"
    etag = "<d:getetag>1</d:getetag><d:resourcetype/>"

    def answer(arrival: Arrival) -> Answer:
        if arrival.path == "/.well-known/carddav":
            return Answer(301, b"", {"Location": "/dav/"})
        if arrival.method == "REPORT":
            assert b"<d:href>/dav/b/a%40x.vcf</d:href>" in arrival.body
            return xml(multistatus(("/dav/b/a@x.vcf", f"<c:address-data>{card}</c:address-data>")))
        if arrival.path == "/dav/":
            return xml(
                multistatus(("/dav/", "<d:current-user-principal><d:href>/dav/me</d:href></d:current-user-principal>"))
            )
        if arrival.path == "/dav/me":
            return xml(
                multistatus(("/dav/me", "<c:addressbook-home-set><d:href>/dav/h/</d:href></c:addressbook-home-set>"))
            )
        if arrival.path == "/dav/h/":
            return xml(multistatus(("/dav/h/", "<d:resourcetype><d:collection/></d:resourcetype>"), ("/dav/b/", BOOK)))
        if arrival.path == "/dav/b/":
            return xml(multistatus(("/dav/b/", BOOK), ("/dav/b/a%40x.vcf", etag)))
        return Answer(404, b"")

    server.answer_with(answer)
    dav = CardDav(server.url, CREDENTIALS, 300, "TR", HttpClient(timeout=5.0))
    book = dav.load()

    assert book is not None
    assert [one.name for one in book.who_has("+902123205062")] == ["Ayşe"]
    assert dav.load() is None, "without a mark the ETags tell that nothing has changed"
    assert len([one for one in server.arrivals if one.method == "REPORT"]) == 1
    dav.close()


@pytest.mark.parametrize(
    ("answer", "failure", "words"),
    [
        (Answer(404, b""), PermanentFailure, "404"),
        (Answer(200, b"<html>", {"Content-Type": "text/html"}), PermanentFailure, "does not speak WebDAV"),
        (xml(multistatus(("/", ""))), PermanentFailure, "no address book for this user"),
        (xml(multistatus(("/", BOOK))[:-20]), TemporaryFailure, "no complete XML"),
        (xml(b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'), TemporaryFailure, "no complete XML"),
        (xml(b"<other/>"), PermanentFailure, "not one of WebDAV"),
        (Answer(302, b"", {"Location": "/"}), Misconfigured, "redirects for ever"),
        (Answer(302, b"", {"Location": "http://elsewhere.example/"}), Misconfigured, "leads to another one"),
        (Answer(503, b""), TemporaryFailure, "503"),
    ],
)
def test_what_is_no_address_book_is_told_in_words(
    answer: Answer, failure: type[Exception], words: str, server: RecordingSink
) -> None:
    server.answer_with(answer)

    with pytest.raises(failure, match=words):
        load(server.url)


def test_the_password_goes_to_no_other_server_without_https(server: RecordingSink) -> None:
    with recording_sink() as other:
        server.answer_with(Answer(302, b"", {"Location": other.url}))
        with pytest.raises(Misconfigured):
            load(server.url)
        assert other.arrivals == []


def test_an_address_book_larger_than_64_kib_is_read_whole(server: RecordingSink) -> None:
    card = (
        f"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ayşe\r\nPHOTO;ENCODING=b:{'x' * 300_000}\r\nTEL:02123205062\r\nEND:VCARD\r\n"
    )
    etag = "<d:getetag>1</d:getetag><d:resourcetype/>"

    def answer(arrival: Arrival) -> Answer:
        if arrival.method == "REPORT":
            return xml(multistatus(("/a.vcf", f"<c:address-data>{card}</c:address-data>")))
        return xml(multistatus(("/", BOOK), ("/a.vcf", etag)))

    server.answer_with(answer)
    dav = CardDav(server.url, None, 300, "TR", HttpClient(timeout=5.0))
    book = dav.load()
    dav.close()

    assert book is not None
    assert book.contacts == 1


def test_a_large_book_is_complete_after_a_few_tries_when_the_server_fails_in_between(server: RecordingSink) -> None:
    etag = "<d:getetag>1</d:getetag><d:resourcetype/>"
    names = [f"/{number}.vcf" for number in range(CARDS_AT_ONCE * 3)]
    fetched: list[int] = []

    def answer(arrival: Arrival) -> Answer:
        if arrival.method != "REPORT":
            return xml(multistatus(("/", BOOK), *((name, etag) for name in names)))
        fetched.append(arrival.body.count(b"<d:href>"))
        if len(fetched) in (2, 3):
            return Answer(503, b"")
        hrefs = [name for name in names if f"<d:href>{name}</d:href>".encode() in arrival.body]
        card = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:{0}\r\nTEL:0532123{1:04}\r\nEND:VCARD\r\n"
        cards = [(href, card.format(href, int(href[1:-4]))) for href in hrefs]
        return xml(multistatus(*((href, f"<c:address-data>{text}</c:address-data>") for href, text in cards)))

    server.answer_with(answer)
    dav = CardDav(server.url, None, 300, "TR", HttpClient(timeout=5.0))
    for _ in range(2):
        with pytest.raises(TemporaryFailure):
            dav.load()
    book = dav.load()
    dav.close()

    assert book is not None
    assert book.contacts == CARDS_AT_ONCE * 3
    assert len(fetched) == 5
