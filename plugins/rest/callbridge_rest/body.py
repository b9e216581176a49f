"""The body of a request: a structure whose texts are templates.

As only the texts within the structure are made of templates, nothing a caller controls can break the JSON.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from bridge import PermanentFailure, Template

LONGEST = 256 * 1024
"""The most characters a body may have."""

# The whole text is one expression.
_ONE_EXPRESSION = re.compile(r"\{\{-?((?:(?!\{\{|\}\}|\{%|%\}|\{#|#\}).)*?)-?\}\}", re.DOTALL)
_ONE_BRACE = re.compile(r"(?<!\{)\{(\w+)\}(?!\})")

Maker = Callable[[Mapping[str, Any]], Any]


class Body:
    """A body in the shape of `structure`: tables and lists, with Jinja templates for texts.

    A text that is one expression (`{{ event.data.call.queue }}`) becomes what that is: a number, null, a list; in other
    texts null writes nothing. Raises ValueError, with the place and the line, where a template is none. `known` are the
    names people may have put between single braces by mistake.
    """

    def __init__(self, structure: Any, known: Collection[str] = ()) -> None:
        self._make = _maker(structure, "", known)

    def render(self, values: Mapping[str, Any]) -> Any:
        """The body, ready to be written as JSON. Raises `PermanentFailure` where a template fails or makes too much."""
        made = self._make(values)
        if len(json.dumps(made)) > LONGEST:
            raise PermanentFailure(f"`body` makes more than {LONGEST} characters")
        return made


def _maker(value: Any, place: str, known: Collection[str]) -> Maker:
    if isinstance(value, Mapping):
        table = {str(key): _maker(below, f"{place}.{key}".lstrip("."), known) for key, below in value.items()}
        return lambda values: {key: make(values) for key, make in table.items()}
    if isinstance(value, list | tuple):
        items = [_maker(below, f"{place}[{index}]", known) for index, below in enumerate(value)]
        return lambda values: [make(values) for make in items]
    if isinstance(value, str):
        return _text_maker(value, place, known)
    if value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return lambda _: value
    raise ValueError(f"{place}: write a {type(value).__name__} as text")


def _text_maker(text: str, place: str, known: Collection[str]) -> Maker:
    by_mistake = [name for name in _ONE_BRACE.findall(text) if name in known]
    if by_mistake:
        raise ValueError(f"{place}: in a body write {{{{ {by_mistake[0]} }}}}")
    if not re.search(r"\{[{%#]", text):
        return lambda _: text
    try:
        template = _template(text)
        expression = _ONE_EXPRESSION.fullmatch(text.strip())
        native = _template(f"{{{{ ({expression[1]}) | as_json }}}}") if expression else None
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None

    def make(values: Mapping[str, Any]) -> Any:
        try:
            return template.render(values) if native is None else json.loads(native.render(values))
        except PermanentFailure as error:
            raise PermanentFailure(f"`body`, {place}: {error}") from error

    return make


def _template(source: str) -> Template:
    # Markup: the text goes into a structure, so that there is nothing to escape; null writes nothing.
    filters: dict[str, Callable[..., Any]] = {"as_json": _as_json, "utc": _utc, "unix": _unix}
    return Template(source, longest=LONGEST, escape=Markup, filters=filters)


def _as_json(value: object) -> str:
    # str of a name that does not exist raises Jinja's own words for it.
    return json.dumps(value, default=str, allow_nan=False)


def _utc(moment: str | None, style: str = "%Y-%m-%dT%H:%M:%SZ") -> str | None:
    """A time of the event in UTC, written in a `strftime` style."""
    return moment and datetime.fromisoformat(moment).astimezone(UTC).strftime(style)


def _unix(moment: str | None) -> int | None:
    """A time of the event as whole seconds since 1970."""
    return int(datetime.fromisoformat(moment).timestamp()) if moment else None
