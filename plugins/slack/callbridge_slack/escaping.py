"""Making text harmless in Slack: what a caller controls must neither ping anyone nor format anything."""

from __future__ import annotations

import re

ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
ZERO_WIDTH_SPACE = "\u200b"


def one_line(text: str) -> str:
    """`text` as one line of printable characters."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def escape(text: str) -> str:
    """Slack's three control characters as entities: no mention, no link. All that a `plain_text` object needs."""
    return text.translate(ENTITIES)


def neutral(text: str) -> str:
    """One line with a zero-width space around each character that formats mrkdwn, so that it formats nothing."""
    return re.sub(r"^>|[*_~`]", rf"{ZERO_WIDTH_SPACE}\g<0>{ZERO_WIDTH_SPACE}", text)


def cut(mrkdwn: str, most: int) -> str:
    """At most `most` characters of finished mrkdwn, never ending inside an entity."""
    if len(mrkdwn) <= most:
        return mrkdwn
    return re.sub(r"&[a-z]*$", "", mrkdwn[: most - 1]) + "…"
