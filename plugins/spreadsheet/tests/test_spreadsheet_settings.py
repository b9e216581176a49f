"""The settings: defaults that work, and faults that name their key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from callbridge_spreadsheet import bridge_connectors
from callbridge_spreadsheet.columns import CATALOGUE, DEFAULT
from callbridge_spreadsheet.settings import SpreadsheetSettings
from pydantic import ValidationError

KEY = {"type": "service_account", "client_email": "a@b", "private_key": "-----SECRET-----", "token_uri": "https://x"}


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "key.json"
    path.write_text(json.dumps(KEY))
    return str(path)


def faults(**settings: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        SpreadsheetSettings.model_validate(settings)
    return [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in caught.value.errors()]


@pytest.mark.parametrize(("target", "file", "rate"), [("csv", "csv", None), ("xlsx", "xlsx", "1/30s")])
def test_everything_has_a_default(target: str, file: str, rate: str | None) -> None:
    settings = SpreadsheetSettings.model_validate({"target": target})

    assert settings.file == f"calls-{{year}}-{{month}}.{file}"
    assert (settings.columns, settings.rate) == (DEFAULT, rate)
    assert SpreadsheetSettings().target == "csv"


@pytest.mark.parametrize(
    ("every", "rate"), [("5m", "1/300s"), ("2.5s", "1/2.5s"), (90, "1/90s"), ("0", None), (0, None)]
)
def test_how_often_it_is_written_is_a_duration_like_all_others(every: str | int, rate: str | None) -> None:
    (kind,) = bridge_connectors()
    assert callable(kind.rate)
    assert kind.rate(SpreadsheetSettings.model_validate({"target": "xlsx", "every": every})) == rate


def test_every_column_of_the_default_is_in_the_catalogue() -> None:
    assert {*DEFAULT} <= {*CATALOGUE}


@pytest.mark.parametrize(
    ("settings", "path", "message"),
    [
        ({"target": "excel"}, "target", "'csv', 'xlsx' or 'google'"),
        ({"path": "calls-{day}.csv"}, "path", "knows {year} and {month} alone"),
        ({"path": "calls-{year:>9}.csv"}, "path", "knows {year} and {month} alone"),
        ({"path": "calls-{year.real}.csv"}, "path", "knows {year} and {month} alone"),
        ({"path": "calls-{.csv"}, "path", "is no path"),
        ({"path": ""}, "path", "at least 1 character"),
        ({"target": "xlsx", "path": "calls.xls"}, "path", 'ends with ".xlsx"'),
        ({"target": "xlsx", "worksheet": "2026/11"}, "worksheet", "none of []:"),
        ({"target": "xlsx", "worksheet": "'Calls'"}, "worksheet", "none of []:"),
        ({"target": "xlsx", "worksheet": "c" * 32}, "worksheet", "31 characters"),
        ({"columns": ["date", "numbr"]}, "columns.1", 'did you mean "number"?'),
        ({"columns": ["date", "xyzzy"]}, "columns.1", "there are date, time"),
        ({"columns": ["date", "date"]}, "columns", "named twice"),
        ({"columns": []}, "columns", "at least 1 item"),
        ({"every": "often"}, "every", "is no duration"),
        ({"worksheet": "Log"}, "worksheet", 'means nothing for target = "csv"'),
        ({"spreadsheet": "abc"}, "spreadsheet", 'means nothing for target = "csv"'),
        ({"target": "google", "spreadsheet": "abc"}, "credentials", "needs `spreadsheet` and `credentials`"),
        ({"target": "google", "credentials": "/missing.json"}, "credentials", "No such file"),
        ({"colums": ["date"]}, "colums", "not permitted"),
    ],
)
def test_a_fault_names_its_key_and_says_what_to_write(settings: dict[str, Any], path: str, message: str) -> None:
    ((found, said),) = faults(**settings)

    assert found == path
    assert message in said


def test_google_needs_its_spreadsheet_and_has_no_path(key: str) -> None:
    assert faults(target="google", credentials=key)[0][0] == "spreadsheet"
    assert faults(target="google", credentials=key, spreadsheet="abc", path="calls.csv")[0][0] == "path"
    assert (
        SpreadsheetSettings.model_validate({"target": "google", "credentials": key, "spreadsheet": "abc"}).rate
        == "1/5s"
    )


@pytest.mark.parametrize("content", ["{", "[]", '{"type": "authorized_user"}', '{"private_key": "-----SECRET-----"}'])
def test_a_file_that_is_no_key_is_told_and_not_shown(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(content)
    ((found, said),) = faults(target="google", spreadsheet="abc", credentials=str(path))

    assert found == "credentials"
    assert "service account" in said
    assert "SECRET" not in said
