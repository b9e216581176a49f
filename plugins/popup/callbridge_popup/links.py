"""Links into a CRM: a template of the config, filled with what callers and directories say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter
from typing import Annotated
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

PLACES = ("contact_id", "name", "company", "e164", "number", "extension", "queue", "direction", "call_id")
"""What a template may name in braces."""


def fill(template: str, values: Mapping[str, str | None]) -> str | None:
    """The link, every value percent-encoded; None where a value it needs is not known."""
    names = [name for _, name, _, _ in Formatter().parse(template) if name]
    known = {name: quote(value, safe="") for name, value in values.items() if value}
    return template.format(**known) if all(name in known for name in names) else None


def _check(template: str) -> str:
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise _fault(f"{error}: write {{{{ for a brace that is meant") from None
    for _, name, form, conversion in parts:
        if name is not None and (name not in PLACES or form or conversion):
            raise _fault(f"{{{name}}} is no place; there are {', '.join(f'{{{place}}}' for place in PLACES)}")
    try:
        url = urlsplit(template)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and "{" not in url.netloc and url.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"[\s\x00-\x1f\x7f\\]", template):
        raise _fault("not an http:// or https:// URL with a host (without braces in it)")
    return template


def _fault(reason: str) -> PydanticCustomError:
    return PydanticCustomError("link", "{reason}", {"reason": reason})


LinkTemplate = Annotated[str, AfterValidator(_check)]
"""An http or https URL with places such as `{contact_id}` behind its host."""
