"""What the README shows is true."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from callbridge_apprise.settings import REFUSED, AppriseSettings

from .conftest import Connect

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


@pytest.mark.parametrize("block", re.findall(r"^```toml\n(.*?)^```$", README, re.M | re.S))
def test_every_config_works(block: str, connect: Connect) -> None:
    (table,) = tomllib.loads(block)["connectors"].values()

    connect(*table.pop("urls"), **{key: value for key, value in table.items() if key not in ("kind", "on")})


def test_every_key_and_every_refused_option_is_there() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| \w", README, re.M)) >= {*AppriseSettings.model_fields}
    for option in REFUSED:
        assert f"`{option}`" in README
