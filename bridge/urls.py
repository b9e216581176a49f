"""URLs in a plugin's settings: checked, and kept secret, as they hold tokens."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr
from pydantic_core import PydanticCustomError


def _check(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    # urlsplit's own errors show the URL.
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"[\s\x00-\x1f\x7f]", text):
        raise PydanticCustomError("url", "not an http:// or https:// URL with a host")
    return url


SecretUrl = Annotated[SecretStr, AfterValidator(_check)]
"""A field that holds an http or https URL with a host; no error, log or `repr` shows it."""
