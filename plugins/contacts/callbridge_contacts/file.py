"""An address book in a file, read again whenever it has changed."""

from __future__ import annotations

from pathlib import Path

from bridge import Misconfigured
from callbridge_contacts.book import Book
from callbridge_contacts.csvs import read_csv
from callbridge_contacts.settings import Columns
from callbridge_contacts.text import decoded
from callbridge_contacts.vcards import read_vcards

_State = tuple[int, int, int]
"""When a file was written (ns), its size, and which file it is: one moved into its place is another."""


class BookFile:
    """A CSV or a vCard file; `region` is the country of its national numbers."""

    every = 1.0
    """Seconds between two looks at the file."""

    def __init__(self, path: Path, columns: Columns, region: str) -> None:
        self.where = str(path)
        self._path = path
        self._columns = columns
        self._region = region
        self._read: _State | None = None
        self._seen: _State | None = None
        self._fault: Misconfigured | None = None

    def load(self) -> Book | None:
        """What is in the file; None while it has not changed, or is still being written.

        Raises `Misconfigured` where it cannot be read or used, and says so again until it has changed.
        """
        try:
            state = self._look()
            if state == self._read:
                if self._fault is not None:
                    raise self._fault
                return None
            # Failure policy: a file somebody is writing changes from look to look: wait until it does no more.
            is_settled = self._read is None or state == self._seen
            self._seen = state
            if not is_settled:
                return None
            data = self._path.read_bytes()
        except OSError as error:
            raise Misconfigured(f"{self.where} cannot be read: {error.strerror}") from None
        self._read, self._fault = state, None
        try:
            return self._book(data)
        except ValueError as error:
            self._fault = Misconfigured(f"{self.where}: {error}")
            raise self._fault from None

    def close(self) -> None:
        """Nothing is kept open."""

    def _look(self) -> _State:
        status = self._path.stat()
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _book(self, data: bytes) -> Book:
        text = decoded(data)
        is_vcard = self._path.suffix.lower() in (".vcf", ".vcard") or text[:11].upper() == "BEGIN:VCARD"
        book = Book(read_vcards(text) if is_vcard else read_csv(text, self._columns), self._region)
        if not book.contacts:
            raise ValueError("it holds nobody with a telephone number")
        return book
