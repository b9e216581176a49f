"""A message in the team's own words: a Jinja template that makes mrkdwn, in a sandbox."""

from __future__ import annotations

from bridge import Event, EventTemplate, Locale
from callbridge_slack.escaping import neutral, one_line

LONGEST = 16_000
"""Characters at which a template is cut off: well past the 3000 that Slack takes."""


class MessageTemplate:
    """A template of an event whose values are escaped and format nothing, unless they are marked `safe`.

    Raises ValueError, with the line, where it is not a template.
    """

    def __init__(self, source: str, locale: Locale) -> None:
        self._template = EventTemplate(source, locale, longest=LONGEST, escape=lambda text: neutral(one_line(text)))

    def render(self, event: Event) -> str:
        """The message as mrkdwn, perhaps empty. Raises `PermanentFailure` where the template fails."""
        # Jinja escapes quotes as well, which Slack does not undo.
        return self._template.render(event).replace("&#39;", "'").replace("&#34;", '"')
