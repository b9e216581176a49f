"""A body in the receiver's own words: a Jinja template, in a sandbox."""

from __future__ import annotations

import traceback

from jinja2 import StrictUndefined, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bridge import Event, PermanentFailure

MOST_BYTES = 256 * 1024
"""The longest body a template may make."""


class BodyTemplate:
    """A template that sees `event`, the public JSON form of an event.

    Raises ValueError, with the line, where the template is not one.
    """

    def __init__(self, source: str) -> None:
        environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
        environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
        try:
            self._template = environment.from_string(source)
        except TemplateSyntaxError as error:
            raise ValueError(f"line {error.lineno}: {error.message}") from None

    def render(self, event: Event) -> bytes:
        """The body, UTF-8. Raises `PermanentFailure` where the template fails or makes more than 256 KiB."""
        body = bytearray()
        try:
            for piece in self._template.generate(event=event.model_dump(mode="json")):
                body += piece.encode()
                if len(body) > MOST_BYTES:
                    raise PermanentFailure(f"`template` makes a body of more than {MOST_BYTES // 1024} KiB")
        except PermanentFailure:
            raise
        # Failure policy: the same event fails again however often it is tried, so it is dead, with the line to mend.
        except Exception as error:  # a template can raise whatever its expressions do
            raise PermanentFailure(f"`template` fails in line {_line(error)}: {error}") from error
        return bytes(body)


def _line(error: Exception) -> int | str:
    """The line of the template at fault; jinja names it in the traceback."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
    return lines[-1] if lines and lines[-1] else "?"
