"""The settings of a directory and of a connector of the kind `rest`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from bridge import SecretUrl
from callbridge_rest.body import Body
from callbridge_rest.expressions import Expression, Expressions
from callbridge_rest.placeholders import check_placeholders, placeholders
from callbridge_rest.values import EVENT_NAMES, NUMBER_NAMES

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"|[!-~\x80-\xff]([\t -~\x80-\xff]*[!-~\x80-\xff])?")
_WORD = re.compile(r"\w+")
OWN_HEADERS = frozenset({"content-length", "transfer-encoding", "host"})
NEVER_NOT_FOUND = frozenset({401, 403, 408, 425, 429})


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _read_json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise PydanticCustomError("json", "no JSON: {reason}", {"reason": str(error)}) from None


def _check_secret_name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in {*EVENT_NAMES, "event", "contact"}:
        raise PydanticCustomError("name", "cannot be the name of a secret: it is taken, or not like api_key")
    return name


def _check_not_found(status: int) -> int:
    if status in NEVER_NOT_FOUND:
        raise PydanticCustomError("status", "{status} never means that nobody is known", {"status": status})
    return status


Method = Annotated[Literal["GET", "POST", "PUT", "PATCH"], BeforeValidator(_upper)]
Structure = Annotated[dict[str, Any] | list[Any], BeforeValidator(_read_json)]
SecretName = Annotated[str, AfterValidator(_check_secret_name)]
NotFound = Annotated[int, Field(ge=400, le=499), AfterValidator(_check_not_found)]


class RequestSettings(BaseModel):
    """The keys that say what is sent. `url` and `headers` have placeholders, `body` has templates."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    names: ClassVar[tuple[str, ...]]
    """What placeholders and templates can name, beside the secrets."""

    url: SecretUrl
    """Where to; what replaces a placeholder is percent-encoded."""
    method: Method | None = None
    headers: dict[str, SecretStr] = {}
    body: Structure | None = None
    """A table, or the same as JSON text; its texts are Jinja templates."""
    format: Literal["json", "form"] = "json"
    """How the body is written."""
    secrets: dict[SecretName, SecretStr] = {}
    """Secrets by name, for `url`, `headers` and `body`."""
    check_url: SecretUrl | None = None
    """What a check gets (by GET, with the same headers) to test the credentials."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        faults = [
            InitErrorDetails(
                type=PydanticCustomError("request", "{reason}", {"reason": reason}) if reason else "missing",
                loc=location,
                input=None,
            )
            for location, reason in self._faults()
        ]
        if faults:
            raise ValidationError.from_exception_data(type(self).__name__, faults)
        return self

    def _faults(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Where something is wrong, and what; nothing for what is missing."""
        known = (*self.names, *self.secrets)
        urls = {"url": (self.url, known), "check_url": (self.check_url, (*self.secrets,))}
        for key, (url, usable) in urls.items():
            if url is not None:
                yield from _complaints((key,), _check_url, url, usable, {*self.secrets})
        for name, value in self.headers.items():
            yield from _complaints(("headers", name), _check_header, name, value, known)
        if len({name.lower() for name in self.headers}) != len(self.headers):
            yield ("headers",), "a header is given twice"
        if self.body is not None:
            yield from _complaints(("body",), Body, self.body, known)
        if self.format == "form" and (not isinstance(self.body, dict) or any(map(_is_nested, self.body.values()))):
            yield ("format",), '"form" needs a `body` that is a table without tables or lists in it'


class Fields(BaseModel):
    """Where in an item of the answer the parts of a contact are; several for `name` are joined by a blank."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Expressions = ()
    company: Expression | None = None
    id: Expression | None = None
    note: Expression | None = None
    phone: Expressions = ()
    """The contact's own numbers: with them, an answer that has another number than the caller's is not believed."""


class DirectorySettings(RequestSettings):
    """The keys of `[directories.NAME]` with `kind = "rest"`."""

    names = NUMBER_NAMES

    items: Expression = "@"
    """The contacts in the answer: a list, or one."""
    fields: Fields = Fields()
    not_found: list[NotFound] = [404]
    """Statuses that mean that nobody has the number."""

    def _faults(self) -> Iterator[tuple[tuple[str, ...], str]]:
        yield from super()._faults()
        if not self.fields.name:
            yield ("fields", "name"), ""
        asked_by = {*placeholders(self.url.get_secret_value()), *_WORD.findall(json.dumps(self.body, default=str))}
        if "nsn" in asked_by and not self.fields.phone:
            yield ("fields",), "with nsn it needs `phone`: without its country a number may be somebody else's"


class ConnectorSettings(RequestSettings):
    """The keys of `[connectors.NAME]` with `kind = "rest"`."""

    names = EVENT_NAMES

    method: Method = "POST"
    receipt: Expression | None = None
    """What to keep of the answer, such as the id of what was made."""
    when_unknown: Literal["send", "skip"] = "send"
    """What to do where nobody is known with an id of the CRM."""
    directory: str | None = None
    """Only contacts of this directory count: an id of another one is not an id of this CRM."""


# --- checks -------------------------------------------------------------------------------------------------------


def _complaints(
    location: tuple[str, ...], check: Callable[..., object], *arguments: Any
) -> Iterator[tuple[tuple[str, ...], str]]:
    try:
        check(*arguments)
    except ValueError as error:
        yield location, str(error)


def _check_url(url: SecretStr, known: tuple[str, ...], secrets: set[str]) -> None:
    text = url.get_secret_value()
    check_placeholders(text, known)
    if placeholders(urlsplit(text).netloc) - secrets:
        raise ValueError("the host cannot have placeholders")


def _check_header(name: str, value: SecretStr, known: tuple[str, ...]) -> None:
    if not HEADER_NAME.fullmatch(name):
        raise ValueError("this is not the name of a header")
    if name.lower() in OWN_HEADERS:
        raise ValueError("this header is set by the connector itself")
    if not HEADER_VALUE.fullmatch(value.get_secret_value()):
        raise ValueError("the value has control characters, letters outside Latin-1, or blanks at an end")
    check_placeholders(value.get_secret_value(), known)


def _is_nested(value: object) -> bool:
    return isinstance(value, dict | list)
