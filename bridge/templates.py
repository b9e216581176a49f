"""Templates an operator writes: Jinja in a sandbox, with bounds on what it makes and how long it takes."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, pass_context
from jinja2.runtime import Context

from bridge.errors import PermanentFailure
from bridge.sandbox import STEPS, BoundedEnvironment, Steps


class Template:
    """A Jinja template from the config: `source` is its text, `longest` the most characters it may make (with `cut`
    what is more is cut off, else it is a failure).

    With `escape` every text it writes goes through that function, unless it is marked `safe`; `filters` are added to
    Jinja's own. What it does not know is an error, not nothing. Raises ValueError, with the line, where it is no
    template.

    The sandbox keeps it from everything but its values, and bounds its loops, its time (a second) and what it
    multiplies. One filter or method of a text can still make a large one (`center`), so templates are for operators and
    never for callers.
    """

    def __init__(
        self,
        source: str,
        *,
        longest: int,
        cut: bool = False,
        escape: Callable[[str], str] | None = None,
        filters: Mapping[str, Callable[..., Any]] | None = None,
    ) -> None:
        environment = BoundedEnvironment(
            undefined=StrictUndefined, autoescape=escape is not None, finalize=_finalizer(escape) if escape else None
        )
        environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
        environment.filters.update(filters or {})
        self._longest = longest
        self._cut = cut
        try:
            self._template = environment.from_string(source)
        except TemplateSyntaxError as error:
            raise ValueError(f"line {error.lineno}: {error.message}") from None

    def render(self, values: Mapping[str, Any]) -> str:
        """What the template makes of the values. Raises `PermanentFailure` where it fails or makes too much."""
        text = ""
        try:
            for piece in self._template.generate({**values, STEPS: Steps()}):
                text += str(piece)  # a piece marked safe would escape what stands before it
                if len(text) > self._longest:
                    break
        # Failure policy: the same event fails again however often it is tried, so it is dead, with the line to mend.
        except Exception as error:  # a template can raise whatever its expressions do
            raise PermanentFailure(f"`template` fails in line {_line(error)}: {error}") from error
        if len(text) > self._longest and not self._cut:
            raise PermanentFailure(f"`template` makes more than {self._longest} characters")
        return text[: self._longest]


def _finalizer(escape: Callable[[str], str]) -> Callable[[Context, object], object]:
    @pass_context  # else jinja would finalize constants when it compiles, after escaping them for HTML
    def finalize(_context: Context, value: object) -> object:
        if value is None:
            return ""
        return escape(value) if isinstance(value, str) and not hasattr(value, "__html__") else value

    return finalize


def _line(error: Exception) -> int | str:
    """The line of the template at fault; jinja names it in the traceback."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
    return lines[-1] if lines and lines[-1] else "?"
