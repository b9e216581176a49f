"""A message in the team's own words: a Jinja template that makes mrkdwn, in a sandbox."""

from __future__ import annotations

from datetime import datetime

from bridge import Event, Locale, Template
from callbridge_slack.escaping import neutral, one_line
from callbridge_slack.wording import clock, duration, message

LONGEST = 16_000
"""Characters at which a template is cut off: well past the 3000 that Slack takes."""


class MessageTemplate:
    """A template that sees `event`, the public JSON form of an event, and `title`, the event's usual title.

    Every value it writes is escaped and formats nothing, unless it is marked `safe`. The filters `when` and `duration`
    write a time of the event and a number of seconds for people, nothing for null. Raises ValueError, with the line,
    where it is not a template.
    """

    def __init__(self, source: str, locale: Locale) -> None:
        self._locale = locale
        self._template = Template(
            source,
            longest=LONGEST,
            cut=True,
            escape=lambda text: neutral(one_line(text)),
            filters={
                "when": lambda moment: moment and clock(datetime.fromisoformat(moment), locale),
                "duration": lambda seconds: None if seconds is None else duration(seconds, locale),
            },
        )

    def render(self, event: Event) -> str:
        """The message as mrkdwn, perhaps empty. Raises `PermanentFailure` where the template fails."""
        values = {"event": event.model_dump(mode="json"), "title": message(event, self._locale).title}
        # Jinja escapes quotes as well, which Slack does not undo.
        return self._template.render(values).replace("&#39;", "'").replace("&#34;", '"').strip()
