"""A stand-in for a chat channel: it takes what Slack's incoming webhook takes, and refuses the first posts."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bridge.testing import Answer, Arrival, RecordingSink

REFUSALS = (
    Answer(429, b"ratelimited", {"Retry-After": "1"}),
    Answer(503, b"service_unavailable", {"Retry-After": "1"}),
    Answer(429, b"ratelimited", {"Retry-After": "1"}),
)
"""What the first posts are answered."""

LINK = re.compile(r"<[^|>]*\|([^>]*)>")


@dataclass(frozen=True, slots=True)
class Message:
    """A message as people see it: a title, and labels with their values."""

    title: str
    lines: tuple[tuple[str, str], ...]


class Channel:
    """`show` gets every message that is taken, and every refusal (status and the seconds to wait)."""

    def __init__(self, show: Callable[[Message | Answer], None]) -> None:
        self.messages: list[Message] = []
        self._refusals = list(REFUSALS)
        self._show = show
        self._sink = RecordingSink()
        self._sink.answer_with(self._answer)
        self.url = f"{self._sink.url}/services/T0/B0/demo"

    def close(self) -> None:
        """Stop listening."""
        self._sink.close()

    def _answer(self, arrival: Arrival) -> Answer:
        if self._refusals:
            refusal = self._refusals.pop(0)
            self._show(refusal)
            return refusal
        message = _read(arrival.json())
        self.messages.append(message)
        self._show(message)
        return Answer(200, b"ok")


def _read(payload: dict[str, Any]) -> Message:
    """Read Block Kit: a header, then sections whose fields are a label and a value in turn."""
    header, *sections = payload["blocks"]
    texts = [_plain(field["text"]) for section in sections for field in section["fields"]]
    labels = [label.strip("*") for label in texts[::2]]
    return Message(_plain(header["text"]["text"]), tuple(zip(labels, texts[1::2], strict=True)))


def _plain(text: str) -> str:
    return html.unescape(LINK.sub(r"\1", text))
