"""The settings of a Slack connector."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from bridge import SecretUrl
from callbridge_slack.template import MessageTemplate


def _check_token(token: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]+", token.get_secret_value()):
        raise PydanticCustomError("token", "not a Slack token (xoxb-…): it has blanks or other characters, or is empty")
    return token


def _check_template(template: str) -> str:
    try:
        MessageTemplate(template, "en")
    except ValueError as error:
        raise PydanticCustomError("template", "{reason}", {"reason": str(error)}) from None
    return template


class SlackSettings(BaseModel):
    """The keys of `[connectors.NAME]` with `kind = "slack"`: `webhook_url`, or `token` and `channel`."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    webhook_url: SecretUrl | None = None
    """The URL of an incoming webhook, which posts into the one channel it was made for."""
    token: Annotated[SecretStr, AfterValidator(_check_token)] | None = None
    """A bot token with the scope `chat:write`."""
    channel: Annotated[str, Field(min_length=1)] | None = None
    """The id (or name) of the channel the bot posts into."""
    api_url: SecretUrl = SecretStr("https://slack.com/api")
    """Where the Web API is: another one is for stand-ins."""
    template: Annotated[str, AfterValidator(_check_template)] | None = None
    """A Jinja template that makes the message, mrkdwn, instead."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        match (self.webhook_url is not None, self.token is not None, self.channel is not None):
            case (False, False, False):
                raise _fault("webhook_url", "give `webhook_url`, or `token` and `channel`")
            case (True, False, True):
                raise _fault("channel", "`webhook_url` posts into its own channel: leave `channel` out")
            case (True, True, _):
                raise _fault("webhook_url", "give either `webhook_url`, or `token` and `channel`: not both")
            case (False, True, False):
                raise _fault("channel", "`token` needs a `channel` to post into")
            case (False, False, True):
                raise _fault("token", "`channel` needs the `token` of a bot (or give `webhook_url` alone)")
        return self


def _fault(key: str, reason: str) -> ValidationError:
    """An error of one key, so that its path in the config is shown."""
    details = InitErrorDetails(
        type=PydanticCustomError("slack", "{reason}", {"reason": reason}), loc=(key,), input=None
    )
    return ValidationError.from_exception_data("SlackSettings", [details])
