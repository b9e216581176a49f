"""A message in the team's own words: a Jinja template that makes mrkdwn, in a sandbox."""

from __future__ import annotations

import traceback
from datetime import datetime

from jinja2 import StrictUndefined, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bridge import Event, Locale, PermanentFailure
from callbridge_slack.escaping import neutral, one_line
from callbridge_slack.wording import clock, duration, message

MOST_CHARACTERS = 16_000
"""Where rendering stops: well past the 3000 characters that Slack takes."""


class MessageTemplate:
    """A template that sees `event`, the public JSON form of an event, and `title`, the event's usual title.

    Every value it writes is escaped and formats nothing, unless it is marked `safe`. The filters `when` and `duration`
    write a time of the event and a number of seconds for people, nothing for null. Raises ValueError, with the line,
    where it is not a template.
    """

    def __init__(self, source: str, locale: Locale) -> None:
        self._locale = locale
        environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=True, finalize=_finalize)
        environment.filters["when"] = lambda moment: moment and clock(datetime.fromisoformat(moment), locale)
        environment.filters["duration"] = lambda seconds: None if seconds is None else duration(seconds, locale)
        try:
            self._template = environment.from_string(source)
        except TemplateSyntaxError as error:
            raise ValueError(f"line {error.lineno}: {error.message}") from None

    def render(self, event: Event) -> str:
        """The message as mrkdwn, perhaps empty. Raises `PermanentFailure` where the template fails."""
        text = ""
        try:
            values = {"event": event.model_dump(mode="json"), "title": message(event, self._locale).title}
            for piece in self._template.generate(values):
                text += str(piece)  # a piece marked safe would escape what stands before it
                if len(text) > MOST_CHARACTERS:
                    break
        # Failure policy: the same event fails again however often it is tried, so it is dead, with the line to mend.
        except Exception as error:  # a template can raise whatever its expressions do
            raise PermanentFailure(f"`template` fails in line {_line(error)}: {error}") from error
        # Jinja escapes quotes as well, which Slack does not undo.
        return text.replace("&#39;", "'").replace("&#34;", '"').strip()


def _finalize(value: object) -> object:
    """A value on its way into the text; what is marked safe passes as it is."""
    if value is None:
        return ""
    return neutral(one_line(value)) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _line(error: Exception) -> int | str:
    """The line of the template at fault; jinja names it in the traceback."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
    return lines[-1] if lines and lines[-1] else "?"
