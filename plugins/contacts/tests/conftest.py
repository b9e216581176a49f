"""A directory as the core would make it, and a real CardDAV server."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
from callbridge_contacts.directory import ContactsDirectory
from callbridge_contacts.settings import ContactsSettings

from bridge import Contact, DirectoryContext, HttpClient, Number
from bridge.testing import eventually, free_port

AUTH = ("ayse", "gizli-parola")


@pytest.fixture
def open_directory() -> Iterator[Callable[..., ContactsDirectory]]:
    """Make a directory of settings as they stand in the config; it is stopped at the end."""
    opened: list[ContactsDirectory] = []
    with HttpClient(timeout=5.0) as http:

        def make(region: str = "TR", **settings: Any) -> ContactsDirectory:
            log = logging.getLogger("callbridge.directories.customers")
            context = DirectoryContext("customers", 5.0, http, log, region)
            opened.append(ContactsDirectory(ContactsSettings.model_validate(settings), context))
            return opened[-1]

        yield make
        for directory in opened:
            directory.bridge_stop()


@pytest.fixture
def look_up() -> Callable[..., list[Contact]]:
    """Who has a number (E.164), by a directory."""

    def ask(directory: ContactsDirectory, number: str = "+902123205062") -> list[Contact]:
        return list(directory.bridge_lookup(Number(raw=number, e164=number, display=number, kind="external")))

    return ask


class Radicale:
    """A real Radicale server on the loopback interface, with an address book of one user."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        (folder / "users").write_text(":".join(AUTH) + "\n")
        (folder / "radicale.conf").write_text(
            f"[server]\nhosts = 127.0.0.1:{port}\n"
            f"[auth]\ntype = htpasswd\nhtpasswd_filename = {folder / 'users'}\nhtpasswd_encryption = plain\ndelay = 0\n"
            f"[storage]\nfilesystem_folder = {folder / 'collections'}\n[logging]\nlevel = warning\n"
        )
        self.url = f"http://127.0.0.1:{port}"
        self.book = f"{self.url}/ayse/customers/"
        self._log = (folder / "radicale.log").open("ab")
        command = [sys.executable, "-m", "radicale", "--config", str(folder / "radicale.conf")]
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        eventually(self._is_up, "the start of Radicale")
        self.make_book(self.book)

    def make_book(self, url: str) -> None:
        """Make an address book."""
        body = (
            '<d:mkcol xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:carddav"><d:set><d:prop><d:resourcetype>'
            "<d:collection/><c:addressbook/></d:resourcetype></d:prop></d:set></d:mkcol>"
        )
        self._ask("MKCOL", url, body)

    def put(self, name: str, phone: str, file: str | None = None, more: Sequence[str] = ()) -> None:
        """Put a contact into the book, or another in its place."""
        lines = ["BEGIN:VCARD", "VERSION:3.0", f"UID:{file or name}", f"FN:{name}", "N:;;;;", f"TEL:{phone}", *more]
        card = "\r\n".join([*lines, "END:VCARD", ""])
        self._ask("PUT", f"{self.book}{file or name}.vcf", card, **{"Content-Type": "text/vcard; charset=utf-8"})

    def delete(self, file: str) -> None:
        """Take a contact out of the book."""
        self._ask("DELETE", f"{self.book}{file}.vcf")

    def stop(self) -> None:
        """End the server."""
        self.process.terminate()
        self.process.wait(20)
        self._log.close()

    def _ask(self, method: str, url: str, body: str = "", **headers: str) -> None:
        answer = requests.request(method, url, data=body.encode(), headers=headers, auth=AUTH, timeout=20)
        assert answer.ok, answer.text

    def _is_up(self) -> bool:
        assert self.process.poll() is None, "Radicale ended"
        try:
            return requests.get(self.url, timeout=5, allow_redirects=False).status_code > 0
        except requests.ConnectionError:
            return False


@pytest.fixture
def radicale(tmp_path: Path) -> Iterator[Radicale]:
    """A server of its own for each test."""
    server = Radicale(tmp_path)
    yield server
    server.stop()
