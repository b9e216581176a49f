"""The settings of an apprise connector, and the names of its targets."""

from __future__ import annotations

import hashlib
import re
from functools import cached_property
from typing import Annotated
from urllib.parse import parse_qsl

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic_core import PydanticCustomError

from callbridge_apprise.texts import own_words

REFUSED = {
    "optional": "it would hide failures",
    "retry": "callbridge tries again by itself (`retry`)",
    "wait": "callbridge tries again by itself (`retry`)",
}
"""Options of apprise's URLs that would keep callbridge from knowing what happened, and why."""


def _check_template(template: str) -> str:
    try:
        own_words(template, "en")
    except ValueError as error:
        raise PydanticCustomError("template", "{reason}", {"reason": str(error)}) from None
    return template


class AppriseSettings(BaseModel):
    """The keys of `[connectors.NAME]` with `kind = "apprise"`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    urls: Annotated[tuple[SecretStr, ...], Field(min_length=1)]
    """apprise's URLs: each is a target of its own."""
    template: Annotated[str, AfterValidator(_check_template)] | None = None
    """A Jinja template that makes the text below the title instead."""

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """The names of the targets, in the order of `urls`."""
        return tuple(target_of(url.get_secret_value()) for url in self.urls)


def target_of(url: str) -> str:
    """A name for a URL that people recognise and that holds no secret: `tgram-1f3c9a0b2d`.

    The same URL always has the same name. The digest is a slow one, so that a token cannot be found by trying.
    """
    scheme, known, rest = url.partition("://")
    if not known:  # nobody knows what it is
        scheme = ""
    elif scheme.lower() in {"http", "https"}:  # as the service itself shows it: only its domain says which it is
        scheme = ".".join(re.split("[/?#:]", rest.rpartition("@")[2])[0].split(".")[-2:])
    digest = hashlib.scrypt(url.encode(errors="surrogatepass"), salt=b"callbridge", n=2**14, r=8, p=1, dklen=5).hex()
    return f"{re.sub('[^a-z0-9.]', '', scheme.lower())[:40] or 'url'}-{digest}"


def refused_option(url: str) -> str | None:
    """What is wrong with the options of a URL, if anything; nothing of the URL's values is in it."""
    for key, _ in parse_qsl(url.partition("?")[2], keep_blank_values=True):
        if reason := REFUSED.get(key.lower()):
            return f"leave the option `{key.lower()}` out of the URL: {reason}"
    return None
