"""Texts with `{name}` in them: URLs and headers. What is put in cannot change the structure of the text around it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
# A part of a path that is only dots would lead to another one.
_NOTHING = frozenset({"", ".", ".."})
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


class Missing(Exception):
    """A placeholder has no value this time; the text names it."""


def placeholders(text: str) -> set[str]:
    """The names between braces."""
    return set(_PLACEHOLDER.findall(text))


def check_placeholders(text: str, known: Collection[str]) -> None:
    """Raises ValueError, without the text in it, where a placeholder is not one of `known`."""
    if "{{" in text:
        raise ValueError("placeholders have one brace here: {e164}")
    unknown = sorted(placeholders(text) - {*known})
    if unknown:
        names = ", ".join(f"{{{name}}}" for name in known)
        raise ValueError(f"{{{unknown[0]}}} is no placeholder; there are {names}")


def in_url(text: str, values: Mapping[str, Any]) -> str:
    """The text with the values, percent-encoded. Raises Missing."""
    return _filled(text, values, safe="")


def in_header(text: str, values: Mapping[str, Any]) -> str:
    """The text with the values, of which is percent-encoded what a header cannot hold. Raises Missing."""
    return _filled(text, values, safe=_PRINTABLE).strip()


def _filled(source: str, values: Mapping[str, Any], *, safe: str) -> str:
    def value(match: re.Match[str]) -> str:
        text = "" if values[match[1]] is None else str(values[match[1]])
        if text in _NOTHING:
            raise Missing(match[1])
        return quote(text, safe=safe)

    return _PLACEHOLDER.sub(value, source)
