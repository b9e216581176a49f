"""What the settings take, and where they say what is missing."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from callbridge_slack.settings import SlackSettings
from pydantic import ValidationError

HOOK = "https://hooks.slack.com/services/T0/B0/s3cret"


def faults(**settings: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as raised:
        SlackSettings.model_validate(settings)
    assert "s3cret" not in str(raised.value)
    return {".".join(map(str, fault["loc"])): fault["msg"] for fault in raised.value.errors()}


@pytest.mark.parametrize("settings", [{"webhook_url": HOOK}, {"token": "xoxb-s3cret", "channel": "C01"}])
def test_one_way_into_the_channel_is_enough_and_is_not_shown(settings: dict[str, str]) -> None:
    assert "s3cret" not in repr(SlackSettings.model_validate(settings))


@pytest.mark.parametrize(
    ("settings", "key", "complaint"),
    [
        ({}, "webhook_url", "give `webhook_url`, or `token` and `channel`"),
        ({"webhook_url": HOOK, "token": "xoxb-s3cret", "channel": "C01"}, "webhook_url", "not both"),
        ({"webhook_url": HOOK, "token": "xoxb-s3cret"}, "webhook_url", "not both"),
        ({"webhook_url": HOOK, "channel": "C01"}, "channel", "leave `channel` out"),
        ({"token": "xoxb-s3cret"}, "channel", "needs a `channel`"),
        ({"channel": "C01"}, "token", "needs the `token`"),
        ({"webhook_url": "hooks.slack.com/s3cret"}, "webhook_url", "not an http:// or https:// URL"),
        ({"webhook_url": ""}, "webhook_url", "not an http:// or https:// URL"),
        ({"webhook_url": "https://h/s3cret\n"}, "webhook_url", "not an http:// or https:// URL"),
        ({"token": "s3cret x", "channel": "C01"}, "token", "not a Slack token"),
        ({"token": "xoxb-s3cret", "channel": ""}, "channel", "at least 1 character"),
        ({"token": "xoxb-s3cret", "channel": "C01", "api_url": "slack"}, "api_url", "not an http://"),
        ({"webhook_url": HOOK, "template": "x\n{{ }"}, "template", "line 2: "),
        ({"webhook_url": HOOK, "chanel": "C01"}, "chanel", "Extra inputs"),
    ],
)
def test_what_is_wrong_is_said_at_its_key(settings: dict[str, str], key: str, complaint: str) -> None:
    found = faults(**settings)
    assert list(found) == [key]
    assert complaint in found[key]


def test_the_configurations_of_the_readme_are_valid() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    tables = [table for block in re.findall(r"```toml\n(.*?)```", readme, re.DOTALL) for table in connectors(block)]
    assert len(tables) == 3
    for table in tables:
        SlackSettings.model_validate({key: table[key] for key in table.keys() - {"kind", "on", "rate"}})


def connectors(block: str) -> list[dict[str, Any]]:
    return list(tomllib.loads(block)["connectors"].values())
