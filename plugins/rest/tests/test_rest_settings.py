"""What the settings take, and how they refuse the rest, naming the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from callbridge_rest.settings import ConnectorSettings, DirectorySettings
from pydantic import ValidationError

from bridge.testing import BridgeProcess

URL = "https://crm.example.com/s3cret-token/{e164}"
FIELDS = {"name": "name"}


def faults(model: type[ConnectorSettings | DirectorySettings] = ConnectorSettings, **settings: Any) -> dict[str, str]:
    base = {"url": URL} | ({"fields": FIELDS} if model is DirectorySettings else {})
    with pytest.raises(ValidationError) as raised:
        model.model_validate(base | settings)
    assert "s3cret" not in str(raised.value)
    return {".".join(map(str, fault["loc"])): fault["msg"] for fault in raised.value.errors()}


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("ftp://s3cret@host/", "not an http:// or https:// URL with a host"),
        ("https://{e164}/s3cret", "the host cannot have placeholders"),
        ("https://{e164}.example.com/s3cret", "the host cannot have placeholders"),
        ("https://h/s3cret/{phone}", "{phone} is no placeholder; there are {e164}, {digits}, {national}, {nsn}"),
        ("https://h/s3cret/{{e164}}", "placeholders have one brace here: {e164}"),
        ("https://h/s3cret/{contact_id}", "{contact_id} is no placeholder"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_showing_it(url: str, complaint: str) -> None:
    found = faults(DirectorySettings, url=url)
    assert list(found) == ["url"]
    assert found["url"].startswith(complaint)


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("a[", "no JMESPath: "),
        ("", "no JMESPath: "),
        ("a.'b", "no JMESPath: "),
        ("jonn(' ', a)", "no JMESPath: there is no function jonn()"),
        ("{x: [a, lenght(b)]}", "no JMESPath: there is no function lenght()"),
    ],
)
def test_a_jmespath_that_is_none_is_refused_by_its_key(expression: str, complaint: str) -> None:
    found = faults(DirectorySettings, items=expression, fields={"name": expression, "phone": ["phone", expression]})
    assert list(found) == ["items", "fields.name.0", "fields.phone.1"]
    assert all(message.startswith(complaint) and "\n" not in message for message in found.values())


def test_a_contact_needs_a_name() -> None:
    assert faults(DirectorySettings, fields={"id": "id"}) == {"fields.name": "Field required"}
    assert faults(DirectorySettings, fields={}) == {"fields.name": "Field required"}


def test_a_national_number_without_its_country_needs_the_numbers_of_the_answer() -> None:
    for asked in ({"url": "https://crm.example.com/{nsn}"}, {"body": {"a": ["*{{ nsn }}"]}}):
        assert list(faults(DirectorySettings, **asked)) == ["fields"]
        DirectorySettings.model_validate({"url": URL, "fields": FIELDS | {"phone": "phone"}} | asked)


@pytest.mark.parametrize("status", [200, 401, 403, 429, 500])
def test_a_refusal_or_a_fault_never_means_nobody(status: int) -> None:
    assert list(faults(DirectorySettings, not_found=[404, status])) == ["not_found.1"]


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"A:b": "x"}, "headers.A:b"),
        ({"Host": "x"}, "headers.Host"),
        ({"A": "s3cret\r\nB: c"}, "headers.A"),
        ({"A": "s3cret ş"}, "headers.A"),
        ({"A": "{nothing}"}, "headers.A"),
        ({"A": "1", "a": "2"}, "headers"),
    ],
)
def test_headers_that_cannot_be_sent_are_refused(headers: dict[str, str], key: str) -> None:
    assert list(faults(headers=headers)) == [key]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"a": {"b": "{{ a b }}"}}, "a.b: line 1: "),
        ({"a": ["{% if x %}"]}, "a[0]: line 1: "),
        ({"a": "{{ x) | y(z }}"}, "a: line 1: "),
        ({"a": "to {contact_id}"}, "a: in a body write {{ contact_id }}"),
        ('{"a": "{{ a b }}"}', "a: line 1: "),
        ('{"a": ', "no JSON: "),
        ({"a": float("nan")}, "a: write a float as text"),
    ],
)
def test_a_body_that_is_none_is_refused_with_its_place(body: Any, complaint: str) -> None:
    found = faults(body=body)
    assert list(found) == ["body"]
    assert found["body"].startswith(complaint)


@pytest.mark.parametrize("body", [None, [1], {"a": {"b": 1}}])
def test_a_form_needs_a_flat_table(body: Any) -> None:
    assert list(faults(format="form", body=body)) == ["format"]


@pytest.mark.parametrize("name", ["e164", "event", "Api-Key", "1"])
def test_a_secret_needs_a_name_of_its_own(name: str) -> None:
    assert list(faults(secrets={name: "s3cret"})) == [f"secrets.{name}.[key]"]


def test_a_secret_can_be_named_in_the_host_and_everything_is_hidden() -> None:
    settings = ConnectorSettings.model_validate(
        {
            "url": "https://{user}:x@h/{e164}",
            "secrets": {"user": "s3cret-user"},
            "headers": {"A": "s3cret"},
            "check_url": "https://h/s3cret",
            "method": "put",
        }
    )
    assert settings.method == "PUT"
    assert "s3cret" not in repr(settings)


def test_a_check_url_knows_no_call() -> None:
    assert list(faults(check_url="https://h/{e164}")) == ["check_url"]


def test_the_keys_of_the_config_are_named_and_every_fault_is_told(tmp_path: Path) -> None:
    bridge = BridgeProcess(
        tmp_path,
        """
[directories.crm]
kind = "rest"
url = "https://crm.example.com/s3cret-token/{phone}"
itmes = "results"
fields = {name = "name[", company = "x", phone = "jonn(a)"}
[connectors.crm_log]
kind = "rest"
on = ["call.*"]
url = "https://crm.example.com/calls"
receipt = "id["
[connectors.crm_log.body.properties]
title = "{contact_name}"
""",
    )
    done = bridge.run("check")

    assert done.returncode == 1
    found = done.stdout + done.stderr
    for key in (
        "directories.crm.url: {phone} is no placeholder",
        "directories.crm.itmes: unknown key; did you mean `items`?",
        "directories.crm.fields.name: no JMESPath",
        "directories.crm.fields.phone: no JMESPath: there is no function jonn()",
        "connectors.crm_log.receipt: no JMESPath",
        "connectors.crm_log.body: properties.title: in a body write {{ contact_name }}",
    ):
        assert key in found, found
    assert len(found.splitlines()) == 6
    assert "s3cret" not in found


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ('{nam = "x", phone = "p"}', ["fields.nam: unknown key; did you mean `name`?", "fields.name: is required"]),
        ('{name = "a[", id = "id"}', ["fields.name: no JMESPath: Incomplete expression"]),
        ('{name = "a", phone = "id["}', ["fields.phone: no JMESPath: Incomplete expression"]),
    ],
)
def test_what_a_fault_has_taken_away_is_not_missed(tmp_path: Path, fields: str, told: list[str]) -> None:
    table = f'[directories.crm]\nkind = "rest"\nurl = "https://crm.example.com/{{nsn}}"\nfields = {fields}\n'
    done = BridgeProcess(tmp_path, table).run("check")

    assert [line.removeprefix("directories.crm.") for line in done.stdout.splitlines()] == told
