"""The directory: contacts by number, kept in memory."""

from __future__ import annotations

from collections.abc import Sequence

from bridge import Contact, DirectoryContext, Number, hookimpl
from callbridge_contacts.carddav import CardDav
from callbridge_contacts.file import BookFile
from callbridge_contacts.keeper import Keeper, Place
from callbridge_contacts.settings import ContactsSettings


class ContactsDirectory:
    """Answers from memory; a file or a server is looked at beside."""

    def __init__(self, settings: ContactsSettings, context: DirectoryContext) -> None:
        self._place = _place(settings, context)
        self._timeout = context.timeout
        self._keeper = Keeper(self._place, context.log)

    @hookimpl
    def bridge_start(self) -> None:
        """Begin to load."""
        self._keeper.start()

    @hookimpl
    def bridge_lookup(self, number: Number) -> Sequence[Contact]:
        """Everybody with exactly this number."""
        return self._keeper.book(self._timeout).who_has(number.e164) if number.e164 else ()

    @hookimpl
    def bridge_check(self) -> str:
        """Look at the file or the server now, and say how many contacts are there."""
        book = self._keeper.renewed()
        return f"{self._place.where}: {book.contacts} contacts with {book.numbers} numbers"

    @hookimpl
    def bridge_stop(self) -> None:
        """Load no more."""
        self._keeper.stop()


def _place(settings: ContactsSettings, context: DirectoryContext) -> Place:
    if settings.path is not None:
        return BookFile(settings.path, settings.columns, context.region)
    assert settings.carddav is not None  # noqa: S101  # the settings have one of the two
    password = settings.password.get_secret_value() if settings.password else ""
    credentials = (settings.username, password) if settings.username is not None else None
    return CardDav(settings.carddav.get_secret_value(), credentials, settings.refresh, context.region, context.http)
