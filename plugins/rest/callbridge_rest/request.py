"""A request made of the settings and the values at hand."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from bridge import HttpClient, HttpResponse
from callbridge_rest.body import Body
from callbridge_rest.placeholders import Missing, in_header, in_url
from callbridge_rest.settings import RequestSettings

LARGEST_ANSWER = 1024 * 1024
"""Bytes of an answer that are read."""


class Request:
    """Sends what the settings say. It keeps no state and may be used from several threads."""

    def __init__(self, settings: RequestSettings, http: HttpClient) -> None:
        self._http = http
        self._secrets = {name: secret.get_secret_value() for name, secret in settings.secrets.items()}
        self._url = settings.url.get_secret_value()
        self._check_url = settings.check_url.get_secret_value() if settings.check_url else None
        self._body = Body(settings.body) if settings.body is not None else None
        self._as_form = settings.format == "form"
        self._method = settings.method or ("GET" if self._body is None else "POST")
        self._headers = {"Accept": "application/json"}
        self._headers |= {name: value.get_secret_value() for name, value in settings.headers.items()}

    @property
    def host(self) -> str:
        """The host, and the port where one is given."""
        return urlsplit(self._url).netloc.rpartition("@")[2]

    def send(self, values: Mapping[str, Any]) -> HttpResponse:
        """Send it, and return the answer, whatever its status.

        Raises `Missing` where the URL needs a value that there is not, `PermanentFailure` where a template fails, and
        what `HttpClient.request` raises. A header without its value is left out.
        """
        values = {**values, **self._secrets}
        url = in_url(self._url, values)
        content: dict[str, Any] = {}
        if self._body is not None:
            body = self._body.render(values)
            content = {"form": _as_fields(body)} if self._as_form else {"json": body}
        return self._http.request(
            self._method, url, headers=self._filled_headers(values), limit=LARGEST_ANSWER, **content
        )

    def check(self) -> HttpResponse | None:
        """What `check_url` answers; None where there is none."""
        if self._check_url is None:
            return None
        return self._http.request(
            "GET", in_url(self._check_url, self._secrets), headers=self._filled_headers(self._secrets)
        )

    def _filled_headers(self, values: Mapping[str, Any]) -> dict[str, str]:
        filled = {}
        for name, value in self._headers.items():
            with contextlib.suppress(Missing, KeyError):  # a check has no event
                filled[name] = in_header(value, values)
        return filled


def _as_fields(body: Mapping[str, Any]) -> dict[str, str]:
    """The fields of a form; what is null is left out, what is no text is written as JSON writes it."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in body.items()
        if value is not None
    }
