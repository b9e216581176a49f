"""What the settings take, how the targets are called, and that no error shows a URL."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from callbridge_apprise import bridge_connectors
from callbridge_apprise.connector import AppriseConnector
from callbridge_apprise.settings import AppriseSettings, target_of
from pydantic import ValidationError

from bridge import SettingsError
from bridge.testing import connector_context

TELEGRAM = "tgram://123456789:AAFabcdefghijklmnopqrstuvwxyzABCDEFG/12345/"


def test_every_url_is_a_target_of_its_own() -> None:
    (kind,) = bridge_connectors()
    settings = AppriseSettings.model_validate({"urls": [TELEGRAM, "json://localhost/s3cret"]})

    assert kind.targets(settings) == (target_of(TELEGRAM), target_of("json://localhost/s3cret"))


def test_the_name_of_a_target_is_the_same_after_a_restart_and_holds_no_secret() -> None:
    assert target_of(TELEGRAM) == "tgram-f6901d0cbd"
    assert target_of(TELEGRAM) != target_of(TELEGRAM.replace("12345/", "12346/"))
    discord = "https://discord.com/api/webhooks/417429632418316298/JHZ7lQml277"
    assert target_of(discord).startswith("discord.com-")
    assert target_of("https://s3cret:s3cret@s3cret.webhook.office.com/s3cret").startswith("office.com-")
    assert target_of("s3cret").startswith("url-")


def test_the_urls_are_not_shown() -> None:
    settings = AppriseSettings.model_validate({"urls": [TELEGRAM]})

    assert "AAF" not in repr(settings)
    assert "AAF" not in settings.model_dump_json()


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ("urls = []", ("urls",)),
        ("", ("urls",)),
        ("urls = [7]", ("urls", 0)),
        ('urls = ["json://h"]\ntemplate = "{{"', ("template",)),
        ('url = "json://h"', ("url",)),
    ],
)
def test_a_fault_names_its_key(settings: str, key: tuple[Any, ...]) -> None:
    with pytest.raises(ValidationError) as raised:
        AppriseSettings.model_validate(tomllib.loads(settings))
    assert key in [fault["loc"] for fault in raised.value.errors()]


def test_every_url_that_cannot_be_used_is_named_and_none_is_shown() -> None:
    urls = {
        "tgrm://s3cret:s3cret/s3cret": "knows no service with such a URL; did you mean `tgram://`?",
        "msteams://s3cret/s3cret/s3cret/": "make a workflow in Teams and write its URL, or `workflows://…`",
        "workflows://example.com:443/s3cret/s3cret": "",
        "s3cret": "knows no service with such a URL (https://appriseit.com/services",
        "": "knows no service with such a URL",
        "tgram://s3cret": "is no complete URL of Telegram: see https://",
        "https://hooks.example.com/s3cret": "knows no service with such a URL",
        "json://localhost/s3cret?optional=yes": "leave the option `optional` out of the URL: it would hide failures",
        "json://localhost/s3cret?Retry=3": "leave the option `retry` out of the URL",
        "json://localhost/s3cret?wait=3": "leave the option `wait` out of the URL",
        "json://localhost/fine": "",
    }
    settings = AppriseSettings.model_validate({"urls": [*urls, "json://localhost/fine"]})

    with pytest.raises(SettingsError) as raised:
        AppriseConnector(settings, connector_context("team_chat"))

    assert "s3cret" not in str(raised.value)
    faults = {fault.path: fault.message for fault in raised.value.faults}
    assert list(faults) == [f"connectors.team_chat.urls.{index}" for index in (0, 1, *range(3, 10), 11)]
    for index, words in enumerate(urls.values()):
        assert words in faults.get(f"connectors.team_chat.urls.{index}", "")
    assert faults["connectors.team_chat.urls.11"] == "the same URL stands there already"
