"""Keeping secrets out of what people read: logs, errors, the record of an attempt."""

from __future__ import annotations

import base64
import contextlib
import logging
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

SHORTEST = 4
"""Shorter texts are left alone: they protect nothing, and to replace them would shred every text."""

_LONG = 8
_WORD = 16
_SECRET_KEYS = {"key", "pass", "password", "secret", "token"}
_HOST = re.compile(r"(localhost|[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}|[0-9]+(\.[0-9]+){3}|\[[0-9a-f:.]+\])(:[0-9]+)?")
"""A host that every log may speak of: a name with a domain, or an address."""


class Redactor:
    """Replaces secrets by `***`, in every form in which they come up. Safe to use from several threads.

    Replaced are the secret itself, its percent-encoded forms, and of a secret that is a URL also its path with the
    query, its password, and every path segment or query value that looks like a token (of another scheme than http also
    what looks like one in the place of login and host); of one of several words, each
    word that looks like one. Secrets of fewer than `SHORTEST` characters are not replaced.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._forms: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Replace these from now on, too."""
        forms = {form for secret in secrets for form in _forms(secret) if len(form) >= SHORTEST}
        with self._lock:
            self._forms |= forms
            if self._forms:
                # The longest first: a secret may begin with another one.
                ordered = sorted(self._forms, key=len, reverse=True)
                self._pattern = re.compile("|".join(map(re.escape, ordered)))

    def clean(self, text: str) -> str:
        """The text without the secrets."""
        return self._pattern.sub("***", text) if self._pattern else text


def _forms(secret: str) -> Iterator[str]:
    # The value of a header such as `Bearer …` may come back without its first word.
    words = filter(_is_token, secret.split()) if " " in secret else ()
    for text in (secret, *words, *_parts_of_url(secret), *_basic_login(secret)):
        yield from (text, quote(text), quote(text, safe=""), quote_plus(text))


def _parts_of_url(secret: str) -> Iterator[str]:
    try:
        url = urlsplit(secret)
    except ValueError:
        return
    if not url.scheme or not url.netloc:
        return
    target = url.path + (f"?{url.query}" if url.query else "")
    if len(target) >= _LONG:
        yield target
    if url.password:
        yield from (url.password, unquote(url.password))
    query = parse_qsl(url.query)
    yield from (value for key, value in query if key.lower() in _SECRET_KEYS)
    yield from filter(_is_token, [*url.path.split("/"), *(value for _, value in query)])
    if url.scheme not in {"http", "https"}:
        yield from _parts_of_netloc(url.netloc)


def _parts_of_netloc(netloc: str) -> Iterator[str]:
    """What stands in the place of login and host is a token as often as not: `tgram://123456789:AAF…/chat`."""
    for part in (netloc, *netloc.rpartition("@"), *re.split("[:@]", netloc)):
        if _is_token(part) and not _HOST.fullmatch(part):
            yield from (part, unquote(part))


def _basic_login(secret: str) -> Iterator[str]:
    """Of HTTP basic auth, the pair as it is sent for a URL with a login, and the pair in a header that sends one."""
    with contextlib.suppress(ValueError):
        url = urlsplit(secret)
        if url.netloc and url.password:
            pair = f"{unquote(url.username or '')}:{unquote(url.password)}"
            yield base64.b64encode(pair.encode()).decode()
    scheme, _, sent = secret.partition(" ")
    if scheme.lower() == "basic":
        with contextlib.suppress(ValueError):
            pair = base64.b64decode(sent, validate=True).decode()
            yield from (pair, pair.partition(":")[2])


def _is_token(part: str) -> bool:
    """Long, and no plain word such as `services` or `webhooks`, which every log may speak of."""
    plain = part.isalpha() and part.islower() and len(part) < _WORD
    return len(part) >= _LONG and not plain


class RedactingFormatter(logging.Formatter):
    """Formats as another formatter does and cleans what comes out: the message, its arguments and the traceback.

    A filter would be too early, as the traceback becomes text only in the formatter. `also` cleans it of what is no
    secret.
    """

    def __init__(
        self,
        redactor: Redactor,
        inner: logging.Formatter | None = None,
        also: Callable[[str], str] = lambda text: text,
    ) -> None:
        super().__init__()
        self._redactor = redactor
        self._inner = inner or logging.Formatter()
        self._also = also

    def format(self, record: logging.LogRecord) -> str:
        return self._also(self._redactor.clean(self._inner.format(record)))
