"""The contacts directory of callbridge: who has a number, by a file or by a CardDAV server."""

from __future__ import annotations

from collections.abc import Iterable

from bridge import DirectoryKind, hookimpl
from callbridge_contacts.directory import ContactsDirectory
from callbridge_contacts.settings import ContactsSettings


@hookimpl
def bridge_directories() -> Iterable[DirectoryKind]:
    """The kind `contacts`."""
    return [DirectoryKind(name="contacts", create=ContactsDirectory, settings=ContactsSettings)]
