"""Address books of a CardDAV server (RFC 6352): found, and of them only fetched what has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, urljoin, urlsplit
from xml.sax.saxutils import escape

from bridge import HttpClient, PermanentFailure
from callbridge_contacts.book import Book, Card
from callbridge_contacts.dav import CALENDARSERVER, CARDDAV, DAV, NAMESPACES, DavClient, Resource
from callbridge_contacts.vcards import read_vcards

CARDS_AT_ONCE = 32
"""Cards in one answer."""

_ABOUT = f"""<d:propfind {NAMESPACES}><d:prop><d:resourcetype/><d:sync-token/><s:getctag/><d:current-user-principal/>
<c:addressbook-home-set/></d:prop></d:propfind>"""
_VERSIONS = f"<d:propfind {NAMESPACES}><d:prop><d:resourcetype/><d:getetag/></d:prop></d:propfind>"


@dataclass(slots=True)
class _AddressBook:
    """What is known of one: the mark of its state when it was last gone through, and its cards by path, with ETags."""

    mark: tuple[str | None, str | None] = (None, None)
    etags: dict[str, str | None] = field(default_factory=dict)
    cards: dict[str, Sequence[Card]] = field(default_factory=dict)


class CardDav:
    """All address books `url` leads to, or the one it is. `every`: seconds between two looks at them; `http`: what says
    which servers may be reached."""

    def __init__(
        self, url: str, credentials: tuple[str, str] | None, every: float, region: str, http: HttpClient
    ) -> None:
        self.where = urlsplit(url).netloc.rpartition("@")[2]
        self.every = every
        self._url = url
        self._region = region
        self._dav = DavClient(url, credentials, http)
        self._known: dict[str, _AddressBook] = {}
        self._changed = True

    def close(self) -> None:
        """Close the connection."""
        self._dav.close()

    def load(self) -> Book | None:
        """All contacts, or None where nothing has changed. Raises a `DeliveryFailure` that says what is wrong."""
        found = self._address_books()
        known = {each.url: self._known.get(each.url, _AddressBook()) for each in found}
        self._changed = self._changed or known.keys() != self._known.keys()
        # Failure policy: what was fetched before a failure stays, so that a large book is complete after a few tries.
        self._known = known
        for each in found:
            self._update(known[each.url], each)
        if not self._changed:
            return None
        self._changed = False
        cards = (card for book in known.values() for some in book.cards.values() for card in some)
        return Book(cards, self._region)

    # --- which address books ------------------------------------------------------------------------------------

    def _address_books(self) -> list[Resource]:
        """By the rules of RFC 6764: the address itself, else what it or `/.well-known/carddav` knows of the user."""
        try:
            books = self._books_from(self._url)
        except PermanentFailure as error:  # nothing there: the other address may lead on
            books, refusal = [], error
        else:
            refusal = PermanentFailure(f"{self.where} has no address book for this user; check `carddav`")
        try:
            books = books or self._books_from(urljoin(self._url, "/.well-known/carddav"))
        except PermanentFailure:
            raise refusal from None
        if not books:
            raise refusal
        return books

    def _books_from(self, url: str) -> list[Resource]:
        start = self._about(url)
        if start is None or start.is_a(f"{CARDDAV}addressbook"):
            return [start] if start else []
        home = start.link(f"{CARDDAV}addressbook-home-set")
        principal = start.link(f"{DAV}current-user-principal")
        if home is None and principal is not None and (user := self._about(principal)) is not None:
            home = user.link(f"{CARDDAV}addressbook-home-set")
        resources = self._dav.ask("PROPFIND", home, _ABOUT, depth=1) if home else []
        return [each for each in resources if each.is_a(f"{CARDDAV}addressbook")]

    def _about(self, url: str) -> Resource | None:
        return next(iter(self._dav.ask("PROPFIND", url, _ABOUT, depth=0)), None)

    # --- what is in them ----------------------------------------------------------------------------------------

    def _update(self, book: _AddressBook, now: Resource) -> None:
        """Bring an address book up to date: a mark that has not moved says that nothing in it has changed."""
        mark = (now.text(f"{DAV}sync-token"), now.text(f"{CALENDARSERVER}getctag"))
        if mark == book.mark and any(mark):
            return
        listed = {
            _path(each.url): each
            for each in self._dav.ask("PROPFIND", now.url, _VERSIONS, depth=1)
            if f"{DAV}getetag" in each.properties and not each.is_a(f"{DAV}collection")
        }
        for path in book.cards.keys() - listed.keys():
            self._changed = True
            del book.cards[path], book.etags[path]
        stale = [path for path, each in listed.items() if path not in book.cards or book.etags[path] != _etag(each)]
        for start in range(0, len(stale), CARDS_AT_ONCE):
            self._changed = True
            self._fetch(book, now.url, [listed[path] for path in stale[start : start + CARDS_AT_ONCE]])
        book.mark = mark

    def _fetch(self, book: _AddressBook, url: str, wanted: Sequence[Resource]) -> None:
        hrefs = "".join(f"<d:href>{escape(urlsplit(each.url).path)}</d:href>" for each in wanted)
        body = (
            f"<c:addressbook-multiget {NAMESPACES}><d:prop><c:address-data/></d:prop>{hrefs}</c:addressbook-multiget>"
        )
        texts = {
            _path(each.url): each.text(f"{CARDDAV}address-data") for each in self._dav.ask("REPORT", url, body, depth=1)
        }
        for each in wanted:
            path = _path(each.url)
            book.cards[path], book.etags[path] = _read(texts.get(path)), _etag(each)


def _path(url: str) -> str:
    """What stands for a resource: servers quote one path in different ways."""
    return unquote(urlsplit(url).path)


def _etag(resource: Resource) -> str | None:
    return resource.text(f"{DAV}getetag")


def _read(text: str | None) -> Sequence[Card]:
    try:
        return list(read_vcards(text.replace("\r\n", "\n"))) if text else ()
    except ValueError:
        return ()  # one card nobody can read costs no other
