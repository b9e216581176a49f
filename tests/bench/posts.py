"""The posts of the load: whole calls of an office, each with a call id of its own, as ready-made requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import count, cycle
from urllib.parse import urlencode
from uuid import uuid4

from callbridge_bulutsantralim.scenarios import CALLS

MIX = ("answered", "missed", "outbound", "answered", "internal", "missed", "outbound-unanswered", "answered")
"""Kinds of calls in which every event is owed to a connector that asks for `call.*`."""
CALLS_AT_ONCE = 100
"""Posts of one call are so far apart, as on a real exchange, where seconds lie between them."""
PLACE = "00000000-000000000000-0000"


@dataclass(frozen=True, slots=True)
class Post:
    """A request, and the answer's body that says it was taken: the call id. `key` names the post in all processes."""

    request: bytes
    call_id: bytes
    event_type: str

    @property
    def key(self) -> str:
        return f"{self.call_id.decode()} {self.event_type}"


def endless_posts(path: str) -> Iterator[Post]:
    """Posts for as long as one likes, those of many calls interleaved."""
    templates = [_templates(kind, path) for kind in MIX]
    kinds = cycle(templates)
    prefix = uuid4().hex[:8]
    for serial in count():
        calls = [(next(kinds), f"{prefix}-{serial:012x}-{line:04x}".encode()) for line in range(CALLS_AT_ONCE)]
        for stage in range(max(len(script) for script, _ in calls)):
            for script, call_id in calls:
                if stage < len(script):
                    request, event_type = script[stage]
                    yield Post(request.replace(PLACE.encode(), call_id), call_id, event_type)


def _templates(kind: str, path: str) -> list[tuple[bytes, str]]:
    """The requests of one call and their event types; the call id is a place to fill in."""
    call = CALLS[kind](datetime.now().replace(microsecond=0))  # noqa: DTZ005  # the exchange's stamps have no zone
    forms = [form | {"call_uuid": PLACE} for _, form in call.script()]
    return [(_request(urlencode(form), path), form["event_type"]) for form in forms]


def _request(body: str, path: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()
