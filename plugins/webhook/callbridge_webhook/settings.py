"""The settings of a webhook connector."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, SecretStr, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from bridge import SecretUrl
from callbridge_webhook.signing import read_secret
from callbridge_webhook.template import BodyTemplate

OWN_HEADERS = re.compile(r"webhook-.*|content-length|transfer-encoding", re.IGNORECASE)
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"|[!-~\x80-\xff]([\t -~\x80-\xff]*[!-~\x80-\xff])?")


def _check_secret(secret: SecretStr) -> SecretStr:
    try:
        read_secret(secret.get_secret_value())
    except ValueError as error:
        raise PydanticCustomError("secret", "{reason}", {"reason": str(error)}) from None
    return secret


def _check_headers(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    seen: set[str] = set()
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name):
            raise PydanticCustomError("header", "{name} is not the name of a header", {"name": repr(name)})
        if OWN_HEADERS.fullmatch(name):
            raise PydanticCustomError("header", "{name} is set by the connector itself", {"name": name})
        if name.lower() in seen:
            raise PydanticCustomError("header", "{name} is given twice", {"name": name})
        if not HEADER_VALUE.fullmatch(value.get_secret_value()):
            raise PydanticCustomError(
                "header",
                "the value of {name} has control characters, letters outside Latin-1, or blanks at an end",
                {"name": name},
            )
        seen.add(name.lower())
    return headers


def _check_template(template: str) -> str:
    try:
        BodyTemplate(template)
    except ValueError as error:
        raise PydanticCustomError("template", "{reason}", {"reason": str(error)}) from None
    return template


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


class WebhookSettings(BaseModel):
    """The keys of `[connectors.NAME]` with `kind = "webhook"`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: SecretUrl
    """Where to: http or https. Kept secret, as URLs hold tokens."""
    secrets: list[Annotated[SecretStr, AfterValidator(_check_secret)]] = []
    """Standard Webhooks secrets (`whsec_…`); every request is signed with each, so that one can be replaced."""
    headers: Annotated[dict[str, SecretStr], AfterValidator(_check_headers)] = {}
    """More headers, such as Authorization."""
    method: Annotated[Literal["POST", "PUT", "PATCH"], BeforeValidator(_upper)] = "POST"
    format: Literal["standard", "cloudevents"] = "standard"
    """The body: the event itself, or the same in a CloudEvents 1.0 envelope (structured mode)."""
    template: Annotated[str, AfterValidator(_check_template)] | None = None
    """A Jinja template that makes the body instead."""

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if self.template is not None and self.format != "standard":
            fault = PydanticCustomError("template", "a template makes the whole body: leave out `format` or it")
            raise ValidationError.from_exception_data(
                "WebhookSettings", [InitErrorDetails(type=fault, loc=("template",), input=None)]
            )
        return self
