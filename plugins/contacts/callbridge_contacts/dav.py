"""WebDAV as far as CardDAV needs it: requests with a body of XML, and answers about several resources."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from bridge import HttpClient, Misconfigured, PermanentFailure, TemporaryFailure

DAV, CARDDAV, CALENDARSERVER = "{DAV:}", "{urn:ietf:params:xml:ns:carddav}", "{http://calendarserver.org/ns/}"
NAMESPACES = 'xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:carddav" xmlns:s="http://calendarserver.org/ns/"'

REQUEST_SECONDS = 30.0
"""Seconds one request may take: it is no lookup, nobody waits for it."""
LARGEST_ANSWER = 32 * 1024 * 1024
"""Bytes of one answer: pictures in the cards make it large."""
MOST_REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource an answer speaks of: its URL, and the properties it has, by name."""

    url: str
    properties: Mapping[str, Element]

    def text(self, name: str) -> str | None:
        """A property as text; None where it is missing or empty."""
        element = self.properties.get(name)
        return (element.text or "").strip() or None if element is not None else None

    def link(self, name: str) -> str | None:
        """The URL in a property."""
        element = self.properties.get(name)
        href = element.findtext(f"{DAV}href") if element is not None else None
        return urljoin(self.url, href.strip()) if href and href.strip() else None

    def is_a(self, kind: str) -> bool:
        """Whether the resource is of a kind."""
        types = self.properties.get(f"{DAV}resourcetype")
        return types is not None and types.find(kind) is not None


class DavClient:
    """Talks to one server as one user. What it raises is a `DeliveryFailure`."""

    def __init__(self, url: str, credentials: tuple[str, str] | None, http: HttpClient) -> None:
        self._http = http.with_timeout(REQUEST_SECONDS)
        self._first = urlsplit(url)
        self._authorization: dict[str, str] = {}
        if credentials is not None:
            token = base64.b64encode(":".join(credentials).encode()).decode()
            self._authorization = {"Authorization": f"Basic {token}"}

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def ask(self, method: str, url: str, body: str, *, depth: int) -> list[Resource]:
        """The resources a PROPFIND or REPORT answers with."""
        headers = {"Content-Type": "application/xml; charset=utf-8", "Depth": str(depth), **self._authorization}
        data = f'<?xml version="1.0" encoding="utf-8"?>{body}'.encode()
        for _ in range(MOST_REDIRECTS):
            if not self._may_go_to(url):
                raise Misconfigured(f"the server leads to another one ({urlsplit(url).netloc}) without https")
            response = self._http.request(method, url, headers=headers, body=data, limit=LARGEST_ANSWER)
            location = response.headers.get("Location")
            if response.status not in (301, 302, 307, 308) or location is None:
                response.raise_for_failure()
                if "xml" not in response.headers.get("Content-Type", ""):
                    raise PermanentFailure(f"{urlsplit(url).hostname} does not speak WebDAV there; check the address")
                return _resources(response.body, url)
            url = urljoin(url, location)
        raise Misconfigured("the server redirects for ever: enter the final address")

    def _may_go_to(self, url: str) -> bool:
        """Whether the password may be sent there. A server that proved who it is may name others (iCloud does)."""
        there = urlsplit(url)
        if (there.scheme, there.netloc) == (self._first.scheme, self._first.netloc):
            return True
        return there.scheme == "https" and (self._first.scheme == "https" or there.hostname == self._first.hostname)


def _resources(body: bytes, url: str) -> list[Resource]:
    try:
        root = fromstring(body)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise TemporaryFailure("the answer is no complete XML; check the address") from None
    if root.tag != f"{DAV}multistatus":
        raise PermanentFailure("the answer is not one of WebDAV; check the address")
    return [
        Resource(
            urljoin(url, (response.findtext(f"{DAV}href") or "").strip()),
            {
                each.tag: each
                for found in response.iterfind(f"{DAV}propstat")
                if " 200" in (found.findtext(f"{DAV}status") or "")
                for each in found.iterfind(f"{DAV}prop/*")
            },
        )
        for response in root.iterfind(f"{DAV}response")
    ]
