"""What a webhook's settings take, and how they refuse the rest."""

from __future__ import annotations

import base64
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from callbridge_webhook.settings import WebhookSettings
from pydantic import ValidationError

URL = "https://crm.example.com/hooks/s3cret-token"


def faults(**settings: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as raised:
        WebhookSettings.model_validate({"url": URL} | settings)
    assert "s3cret" not in str(raised.value)
    return {".".join(map(str, fault["loc"])): fault["msg"] for fault in raised.value.errors()}


@pytest.mark.parametrize(
    "url", ["ftp://s3cret@host/", "https:///s3cret", "s3cret", "http://h:s3cret/", "http://h/s3cret x"]
)
def test_a_url_that_cannot_be_posted_to_is_refused_without_showing_it(url: str) -> None:
    assert faults(url=url) == {"url": "not an http:// or https:// URL with a host"}


def test_the_url_is_not_shown() -> None:
    assert "s3cret" not in repr(WebhookSettings.model_validate({"url": URL}))


@pytest.mark.parametrize("size", [24, 64])
@pytest.mark.parametrize("prefix", ["whsec_", ""])
def test_a_secret_of_24_to_64_bytes_is_taken(size: int, prefix: str) -> None:
    secret = prefix + base64.b64encode(bytes(size)).decode()
    assert WebhookSettings.model_validate({"url": URL, "secrets": [secret]}).secrets[0].get_secret_value() == secret


@pytest.mark.parametrize(
    ("secret", "complaint"),
    [
        ("whsec_" + base64.b64encode(b"s3cret").decode(), "this one holds 6"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "this one holds 65"),
        ("whsec_s3cret!", "not base64"),
        ("whsec_", "not base64"),
    ],
)
def test_a_secret_of_another_shape_is_refused_without_showing_it(secret: str, complaint: str) -> None:
    found = faults(secrets=[secret])
    assert list(found) == ["secrets.0"]
    assert complaint in found["secrets.0"]


@pytest.mark.parametrize("name", ["webhook-id", "Webhook-Signature", "Content-Length"])
def test_headers_of_the_connector_itself_cannot_be_set(name: str) -> None:
    assert faults(headers={name: "x"}) == {"headers": f"{name} is set by the connector itself"}


@pytest.mark.parametrize(
    "headers", [{"A:b": "x"}, {"": "x"}, {"A": "s3cret\r\nB: c"}, {"A": " s3cret"}, {"A": "1", "a": "2"}]
)
def test_headers_that_cannot_be_sent_are_refused(headers: dict[str, str]) -> None:
    assert list(faults(headers=headers)) == ["headers"]


def test_the_method_may_be_written_small() -> None:
    assert WebhookSettings.model_validate({"url": URL, "method": "put"}).method == "PUT"
    assert list(faults(method="DELETE")) == ["method"]


def test_an_unknown_key_is_refused() -> None:
    assert list(faults(secret="x")) == ["secret"]


def test_a_template_that_is_not_one_is_refused_with_its_line() -> None:
    assert faults(template="{\n{% if %}")["template"].startswith("line 2: ")


def test_a_template_and_an_envelope_exclude_each_other() -> None:
    assert list(faults(template="{}", format="cloudevents")) == ["template"]


def test_the_configurations_of_the_readme_are_valid() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    tables = [table for block in re.findall(r"```toml\n(.*?)```", readme, re.DOTALL) for table in connectors(block)]
    assert len(tables) == 2
    for table in tables:
        WebhookSettings.model_validate({key: value for key, value in table.items() if key not in {"kind", "on"}})


def connectors(block: str) -> list[dict[str, Any]]:
    return list(tomllib.loads(block)["connectors"].values())
