"""The HTTP client connectors use: `requests` with an overall deadline, a cap on the answer, and failures in words.

What may be reached is checked where a connection is made: the very addresses that are dialled, so that a name which
says one thing first and another later (DNS rebinding) gains nothing, and a kept connection costs nothing.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import importlib.metadata
import logging
import math
import os
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from json import dumps, loads
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import requests
import requests.utils
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError, LocationValueError

from bridge.destinations import Destinations
from bridge.dialing import CheckedAdapter, permitted
from bridge.errors import Misconfigured, PermanentFailure, TargetGone, TemporaryFailure
from bridge.exchange import Exchange, current
from bridge.transport import Adapter

MAX_ANSWER = 64 * 1024
"""Bytes of an answer that are kept, after decoding, where nobody asks for more; what is beyond is dropped."""

_NETWORK_FAULTS = (requests.RequestException, HTTPError, http.client.HTTPException, OSError)

# --- the answer ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What a server answered.

    `headers` is looked up without regard to case; `body` holds the first 64 KiB of the answer (or
    what was asked for), decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __post_init__(self) -> None:
        if not isinstance(self.headers, CaseInsensitiveDict):
            object.__setattr__(self, "headers", CaseInsensitiveDict(self.headers))

    @property
    def text(self) -> str:
        """The body in the charset the server named, else UTF-8; what cannot be decoded is replaced."""
        try:
            return self.body.decode(_charset(self.headers.get("Content-Type", "")), "replace")
        except (LookupError, ValueError):  # no charset Python knows
            return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON. Raises ValueError where it is none."""
        try:
            return loads(self.body)
        except RecursionError:
            raise ValueError("the JSON is nested too deeply") from None

    def raise_for_failure(self) -> None:
        """Return for 2xx, else raise what the status means, with `status` and `answer` set.

        Raises `TemporaryFailure` for 408, 425, 429 and 5xx (with the seconds of `Retry-After`), `Misconfigured` for 401
        and 403, `TargetGone` for 410, and `PermanentFailure` for the rest, redirects among them.
        """
        status = self.status
        if 200 <= status <= 299:
            return
        answer = self.text
        said = f"the server answered {_phrase(status)}"
        if status in (408, 425, 429) or status >= 500:
            raise TemporaryFailure(said, retry_after=self._retry_after(), status=status, answer=answer)
        if status in (401, 403):
            raise Misconfigured(f"{said}; check the address and the credentials", status=status, answer=answer)
        if status == 410:
            raise TargetGone(said, status=status, answer=answer)
        if 300 <= status <= 399:
            said += "; redirects are not followed: enter the final address"
        raise PermanentFailure(said, status=status, answer=answer)

    def _retry_after(self) -> float | None:
        """The seconds `Retry-After` asks to wait; None where it is missing or makes no sense."""
        value = self.headers.get("Retry-After", "")
        try:
            seconds = float(value)
        except ValueError:
            until = _date(value)
            if until is None:
                return None
            # The server's clock may be wrong: its own Date cancels that out.
            now = _date(self.headers.get("Date", "")) or datetime.now(UTC)
            seconds = (until - now).total_seconds()
        return seconds if math.isfinite(seconds) and seconds >= 0 else None


@functools.lru_cache(maxsize=64)  # a server names the same one each time
def _charset(content_type: str) -> str:
    header = Message()
    header["Content-Type"] = content_type
    return header.get_content_charset("utf-8")


def _phrase(status: int) -> str:
    # The standard's words: the server's own could hold anything.
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _date(value: str) -> datetime | None:
    """An HTTP date, with a zone; None where it is none."""
    try:
        date = parsedate_to_datetime(value)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


# --- the request --------------------------------------------------------------------------------------------------

_BAD_ADDRESS = "the address cannot be used; it looks like https://host/path"
_METHOD = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")


@functools.lru_cache(maxsize=256)  # to read an address takes longer than all the rest, and it is the same each time
def _addressed(method: str, url: str) -> requests.PreparedRequest:
    """A request to `url` without content; its headers are what the URL itself says: user and password."""
    if not _METHOD.fullmatch(method):
        raise Misconfigured("the method cannot be sent; it is one word such as POST")
    request = requests.PreparedRequest()
    request.prepare_method(method)
    request.prepare_url(url, None)
    request.prepare_headers(None)
    request.prepare_auth(None, url)
    return request


def _prepared(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> requests.PreparedRequest:
    """The request as it will be sent. Raises `Misconfigured`, in words that hold no secret, where there is none."""
    try:
        for name, value in headers.items():
            name.encode("ascii"), value.encode("latin-1")
        request = _addressed(method, url).copy()
        request.prepare_headers({**headers, **request.headers})
        request.prepare_body(body, None)
    except (UnicodeEncodeError, requests.exceptions.InvalidHeader):
        raise Misconfigured("a header cannot be sent: names are ASCII, values Latin-1 without line breaks") from None
    except ValueError:
        raise Misconfigured(_BAD_ADDRESS) from None
    return request


# --- faults, in words that hold no secret -------------------------------------------------------------------------


def _in_words(fault: BaseException, url: str, seconds: float) -> str:
    """What went wrong and what to do, naming no more of the URL than host and port."""
    where = urlsplit(url).netloc.rpartition("@")[2]
    for error in _causes(fault):
        match error:
            case ssl.SSLCertVerificationError():
                return f"the certificate of {where} was refused: {error.verify_message}; check address and certificate"
            case ssl.SSLError():
                return f"no TLS connection to {where} ({error.reason}); check that this port speaks https"
            case socket.gaierror():
                return f"the name of {where} cannot be resolved; check the address and the name server"
            case ConnectionRefusedError():
                return f"{where} refused the connection; check the address and whether the service runs"
            case TimeoutError() | requests.Timeout():
                return f"{where} timed out after {seconds:g} s; check that it can be reached and is not overloaded"
            case ConnectionError() | http.client.IncompleteRead():
                return f"{where} closed the connection before its answer was complete"
            case OSError() if str(error).startswith("Tunnel connection failed"):
                return f"the proxy (http.proxy) does not lead to {where}; check what it allows"
            case OSError() if error.errno is not None:
                return f"{where} cannot be reached ({os.strerror(error.errno)}); check the network"
    return f"{where} gave no answer that is readable HTTP; check the address"


def _causes(fault: BaseException | None) -> Iterator[BaseException]:
    while fault is not None:
        yield fault
        fault = fault.__cause__ or fault.__context__


# --- the client ---------------------------------------------------------------------------------------------------


class HttpClient:
    """An HTTP client that keeps connections alive and gives every exchange an overall deadline.

    `timeout` is in seconds and covers the whole exchange, from the name lookup to the last byte of the answer. Up to
    `connections` threads may use it at once. Redirects are not followed, cookies are not kept, proxies and `.netrc` of
    the environment are not used; certificates are always verified.

    Addresses that `destinations` refuses are not dialled. All requests go through `proxy`, a URL, where there is one;
    what a name is, is then the proxy's business, and only addresses in URLs are checked.
    """

    def __init__(
        self,
        *,
        timeout: float,
        connections: int = 4,
        destinations: Destinations | None = None,
        proxy: str | None = None,
    ) -> None:
        if timeout <= 0:
            raise ValueError("timeout must be more than 0 seconds")
        self._destinations = destinations or Destinations()
        self._proxy = proxy
        self._proxies = {"http": proxy, "https": proxy} if proxy else {}
        # urllib3 logs whole URLs, and their paths and queries may be secrets.
        logging.getLogger("urllib3").setLevel(logging.CRITICAL)
        self._timeout = timeout
        # Without a session: there are no cookies to keep and no redirects to follow, and nothing of the environment
        # counts.
        self._adapter = Adapter(connections, proxy)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the kept connections."""
        self._adapter.close()

    def with_timeout(self, seconds: float, connections: int = 4) -> HttpClient:
        """Another client that may reach the same, with a timeout of its own."""
        return HttpClient(timeout=seconds, connections=connections, destinations=self._destinations, proxy=self._proxy)

    def guard(self, session: requests.Session) -> None:
        """Bind the session of a library to what this client may reach, and to its proxy instead of the environment's.

        Each redirect that the session follows is checked, too. Timeouts and sizes remain its own business. What may not
        be reached raises `Misconfigured`.
        """
        session.trust_env = False
        session.proxies = dict(self._proxies)
        for scheme in ("http://", "https://"):
            session.mount(scheme, CheckedAdapter(self.dialled))

    def dialled(self, url: str) -> Destinations:
        """What may be dialled for a request. Raises `Misconfigured` where the proxy would be sent to what may not."""
        if self._proxy is None:
            return self._destinations
        with contextlib.suppress(OSError, ValueError):  # a name: the proxy resolves it
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
            found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
            permitted(parts.hostname or "", port, found, self._destinations)
        return Destinations()

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        timeout: float | None = None,
        limit: int = MAX_ANSWER,
    ) -> HttpResponse:
        """Send a request and return the answer, whatever its status (see `HttpResponse.raise_for_failure`).

        Give one of `body` (bytes as they are), `json` and `form` at most. `timeout`, in seconds, shortens the client's
        own; `limit` is how many bytes of the answer are kept, after decompression: what is beyond is dropped. User and
        password in the URL are sent as basic authentication. A request that had no answer at all on a kept connection
        is sent once more on a fresh one, so it may arrive twice.

        Raises `TemporaryFailure` where the network or the answer is at fault or the time is up, and `Misconfigured`
        where the method, the URL or a header cannot be used, or the address may not be reached. The messages hold no
        more of the URL than its host and port.
        """
        if sum(content is not None for content in (body, json, form)) > 1:
            raise TypeError("give one of body, json and form")
        sent = CaseInsensitiveDict({"User-Agent": self._user_agent, "Accept": "*/*"})
        if json is not None:
            body = dumps(json, ensure_ascii=False, separators=(",", ":")).encode()
            sent["Content-Type"] = "application/json"
        elif form is not None:
            body = urlencode(form).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        sent.update(headers or {})
        seconds = self._timeout if timeout is None else min(timeout, self._timeout)
        request = _prepared(method, url, sent, body)
        url = request.url or ""  # as it will be dialled: there are texts that not everybody reads as the same URL
        token = current.set(Exchange(time.monotonic() + seconds, self.dialled(url)))
        try:
            return self._answer(request, limit)
        except (LocationValueError, requests.exceptions.InvalidURL):
            raise Misconfigured(_BAD_ADDRESS) from None
        except _NETWORK_FAULTS as fault:
            # Failure policy: what is wrong between here and the server may pass, so it is temporary. What requests says
            # of it holds the URL: our words replace it, in the traceback too.
            raise TemporaryFailure(_in_words(fault, url, seconds)) from None
        finally:
            current.reset(token)

    def _answer(self, request: requests.PreparedRequest, limit: int) -> HttpResponse:
        exchange = current.get()
        try:
            return self._send(request, exchange.left(), limit)
        except _NETWORK_FAULTS:
            if not exchange.went_stale:
                raise
        self._adapter.close()  # what else is kept is of the same age
        return self._send(request, exchange.left(), limit)

    def _send(self, request: requests.PreparedRequest, seconds: float, limit: int) -> HttpResponse:
        # Leaving the block closes the connection, unless the answer was read to its end and it is back in the pool.
        with self._adapter.send(request, stream=True, timeout=seconds) as answer:
            body = answer.raw.read(limit + 1, decode_content=True)
            return HttpResponse(answer.status_code, answer.headers, body[:limit])

    @functools.cached_property
    def _user_agent(self) -> str:
        return f"callbridge/{importlib.metadata.version('callbridge')}"
