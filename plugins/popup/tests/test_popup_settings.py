"""What the settings take and refuse, and the links made of them."""

from __future__ import annotations

from typing import Any

import pytest
from callbridge_popup.links import fill
from callbridge_popup.settings import PopupSettings
from pydantic import ValidationError


def test_everything_has_a_default() -> None:
    settings = PopupSettings()
    assert (settings.crm_url, settings.new_url, settings.allowed_origins, settings.streams) == (None, None, (), 500)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("crm_url", "javascript:alert({contact_id})", "not an http:// or https:// URL"),
        ("crm_url", "crm.example/{contact_id}", "not an http:// or https:// URL"),
        ("crm_url", "https://{name}/", "without braces in it"),
        ("crm_url", "https://crm.example/{contact_id", "write {{ for a brace"),
        ("crm_url", "https://crm.example/{phone}", "{phone} is no place; there are {contact_id}"),
        ("crm_url", "https://crm.example/{name!r}", "is no place"),
        ("crm_url", "https://crm.example/{name.__class__}", "is no place"),
        ("new_url", "https://crm.example/{e164:>9999999}", "is no place"),
        ("new_url", "https://crm.example/ {e164}", "not an http"),
        ("allowed_origins", ["https://crm.example/app"], "without a path"),
        ("allowed_origins", ["crm.example"], "not an origin"),
        ("allowed_origins", ["*"], "not an origin"),
        ("allowed_origins", ["null"], "not an origin"),
        ("streams", 0, "greater than or equal to 1"),
        ("ringing_for", "0s", ""),
    ],
)
def test_what_is_wrong_is_named(key: str, value: Any, says: str) -> None:
    with pytest.raises(ValidationError) as raised:
        PopupSettings.model_validate({key: value})
    (error,) = raised.value.errors()
    assert error["loc"][0] == key
    assert says in error["msg"]


def test_origins_are_as_browsers_send_them() -> None:
    settings = PopupSettings.model_validate(
        {"allowed_origins": ["HTTPS://Crm.Example:443/", "http://localhost:3000", "http://[::1]:80"]}
    )
    assert settings.allowed_origins == ("https://crm.example", "http://localhost:3000", "http://[::1]")


def test_values_are_percent_encoded_whatever_they_hold() -> None:
    template = "https://crm.example/c/{contact_id}?n={name}"
    assert fill(template, {"contact_id": "../x?a=1#b", "name": "Ayşe & <b>{e164}"}) == (
        "https://crm.example/c/..%2Fx%3Fa%3D1%23b?n=Ay%C5%9Fe%20%26%20%3Cb%3E%7Be164%7D"
    )


def test_there_is_no_link_without_what_it_needs() -> None:
    assert fill("https://crm.example/{contact_id}", {"contact_id": None, "name": "Ayşe"}) is None
    assert fill("https://crm.example/search", {}) == "https://crm.example/search"
