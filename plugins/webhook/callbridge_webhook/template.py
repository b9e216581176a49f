"""A body in the receiver's own words: a Jinja template, in a sandbox."""

from __future__ import annotations

from bridge import Event, Template

LONGEST = 256 * 1024
"""The most characters a template may make."""


class BodyTemplate:
    """A template that sees `event`, the public JSON form of an event.

    Raises ValueError, with the line, where the template is not one.
    """

    def __init__(self, source: str) -> None:
        self._template = Template(source, longest=LONGEST)

    def render(self, event: Event) -> bytes:
        """The body, UTF-8. Raises `PermanentFailure` where the template fails or makes too much."""
        return self._template.render({"event": event.model_dump(mode="json")}).encode()
