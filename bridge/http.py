"""The HTTP client connectors use."""
from __future__ import annotations
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

@dataclass(frozen=True, slots=True)
class HttpResponse:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str: ...
    def json(self) -> Any: ...
    def raise_for_failure(self) -> None: ...

class HttpClient:
    def __init__(self, *, timeout: float, connections: int = 4) -> None: ...
    def request(self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None, json: Any = None, form: Mapping[str, str] | None = None, timeout: float | None = None) -> HttpResponse: ...
    def close(self) -> None: ...
