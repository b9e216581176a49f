"""What the README shows is true, and what is not configured is not imported."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from callbridge_spreadsheet.columns import CATALOGUE, DEFAULT
from callbridge_spreadsheet.settings import SpreadsheetSettings

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```toml\n(.*?)^```$", README, re.M | re.S)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_config_works(block: str) -> None:
    (table,) = tomllib.loads(block)["connectors"].values()
    options = {key: value for key, value in table.items() if key not in ("kind", "on")}
    if options.pop("credentials", None):
        options.pop("spreadsheet")
        options["target"] = "csv"

    SpreadsheetSettings.model_validate(options)


def test_the_columns_are_those_of_the_catalogue_and_the_bold_ones_are_the_default() -> None:
    (text,) = re.findall(r"^\*\*Columns:\*\*.*?\n\n", README, re.M | re.S)

    assert {*re.findall(r"`(\w+)`", text)} == {*CATALOGUE}
    assert tuple(re.findall(r"\*\*`(\w+)`\*\*", text)) == DEFAULT


def test_every_key_is_in_the_table() -> None:
    assert re.findall(r"^\| `(\w+)` \| .* \| .* \|$", README, re.M) == [
        "target",
        "path",
        "columns",
        "every",
        "worksheet",
        "spreadsheet",
        "credentials",
        "api_url",
    ]
    assert len(SpreadsheetSettings.model_fields) == 8


def test_a_csv_log_loads_neither_openpyxl_nor_gspread() -> None:
    code = """
import sys
from bridge.testing import connector_context
from callbridge_spreadsheet import bridge_connectors
(kind,) = bridge_connectors()
kind.create(kind.settings(), connector_context())
print({"openpyxl", "gspread", "google.auth"} & {*sys.modules})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"
