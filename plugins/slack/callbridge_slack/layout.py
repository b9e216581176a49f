"""Block Kit: how a message looks in Slack. Everything an event says is escaped here."""

from __future__ import annotations

from typing import Any

from bridge import Message, MessageLine
from callbridge_slack.escaping import cut, escape, neutral, one_line

MOST_TEXT = 3000
"""Characters Slack takes in one text of a block."""
MOST_HEADER = 150
MOST_VALUE = 300
"""Characters of a value that are shown; escaping makes up to five of one, and Slack takes 2000 in a field."""
LINES_A_SECTION = 5
"""A section holds ten fields: a line is two, its label and its value."""
NO_PREVIEWS = {"unfurl_links": False, "unfurl_media": False}


def laid_out(message: Message) -> dict[str, Any]:
    """A header and a table of labels and values; `text` is the same for notifications and screen readers."""
    groups = [message.lines[at : at + LINES_A_SECTION] for at in range(0, len(message.lines), LINES_A_SECTION)]
    title = {"type": "plain_text", "text": escape(one_line(message.title))[:MOST_HEADER]}
    facts = " · ".join(f"{line.label}: {_markup(_value(line))}" for line in message.lines)
    sections = [{"type": "section", "fields": [field for line in group for field in _fields(line)]} for group in groups]
    return {
        "text": cut(f"{_markup(message.title)} · {facts}", MOST_TEXT),
        "blocks": [{"type": "header", "text": title}, *sections],
        **NO_PREVIEWS,
    }


def in_own_words(mrkdwn: str) -> dict[str, Any]:
    """A message of finished mrkdwn, as a template made it."""
    text = cut(mrkdwn, MOST_TEXT)
    return {"text": text, "blocks": [{"type": "section", "text": _mrkdwn(text)}], **NO_PREVIEWS}


def _fields(line: MessageLine) -> list[dict[str, Any]]:
    """The label in bold, and the value as plain text, which Slack does not parse, unless it is a link."""
    value: dict[str, Any] = {"type": "plain_text", "text": escape(_value(line)), "emoji": False}
    if line.link:
        value = _mrkdwn(f"<{escape(line.link)}|{_markup(_value(line))}>")
    return [_mrkdwn(f"*{line.label}*"), value]


def _value(line: MessageLine) -> str:
    text = one_line(line.text) or "–"
    return text if len(text) <= MOST_VALUE else text[: MOST_VALUE - 1] + "…"


def _markup(text: str) -> str:
    return escape(neutral(text))


def _mrkdwn(text: str) -> dict[str, Any]:
    """`verbatim` keeps Slack from making links and mentions of its own out of words."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}
