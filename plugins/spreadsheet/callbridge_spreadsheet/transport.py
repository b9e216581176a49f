"""The bridge's HTTP client in the place of requests' own transport, for libraries that bring their session along.

It ends every exchange by a deadline, whatever drips, where requests' timeout is for each read alone; and it follows no
redirect.
"""

from __future__ import annotations

import io
import time
from typing import Any

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from bridge import HttpClient

LARGEST_ANSWER = 32 * 1024 * 1024
"""Bytes: the column of a sheet with as many rows as Google allows."""


class Transport(BaseAdapter):
    """Sends what a session of requests asks for, until `deadline` (`time.monotonic`)."""

    def __init__(self, http: HttpClient) -> None:
        super().__init__()
        self.deadline = 0.0
        self._http = http

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Raises what `HttpClient.request` does, and PermanentFailure for a redirect."""
        body = request.body
        answer = self._http.request(
            request.method or "GET",
            request.url or "",
            headers=request.headers,
            body=body.encode() if isinstance(body, str) else body,
            timeout=max(0.01, self.deadline - time.monotonic()),
            limit=LARGEST_ANSWER,
        )
        if 300 <= answer.status <= 399:
            answer.raise_for_failure()
        response = requests.Response()
        response.status_code, response.request, response.url = answer.status, request, request.url or ""
        response.headers, response.raw = CaseInsensitiveDict(answer.headers), io.BytesIO(answer.body)
        return response

    def close(self) -> None:
        """Nothing is kept here."""
