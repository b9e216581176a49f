"""A message as plain text: the title, and a line for each fact. Everything an event says is made harmless here."""

from __future__ import annotations

from markupsafe import Markup

from bridge import Event, EventTemplate, Locale, Message, MessageLine
from callbridge_apprise.harmless import harmless

MOST_VALUE = 300
"""Characters of a value that are shown."""
LONGEST = 16_000
"""Characters at which a template is cut off; each service cuts what it cannot take of them."""


def as_text(message: Message) -> str:
    """The facts, each in a line of its own."""
    return "\n".join(f"{line.label}: {_value(line)}" for line in message.lines)


def own_words(source: str, locale: Locale) -> EventTemplate:
    """A template whose values are harmless, unless they are marked `safe`. Raises ValueError where it is none."""
    return EventTemplate(source, locale, longest=LONGEST, escape=_as_it_is)


def title_of(event: Event, message: Message) -> str:
    """The title, which is callbridge's own; of a type of a later version it is the name of the type."""
    return message.title if message.title != event.type else harmless(event.type)


def _value(line: MessageLine) -> str:
    text = harmless(line.text) or "–"
    return text if len(text) <= MOST_VALUE else text[: MOST_VALUE - 1] + "…"


def _as_it_is(text: str) -> str:
    # Markup, as what apprise gets is plain text: Jinja's HTML entities would be read as such.
    return Markup(harmless(text))  # noqa: S704
