"""What the README shows is true."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from callbridge_popup.attempts import MOST, WINDOW
from callbridge_popup.cards import CardMaker
from callbridge_popup.grants import PIN_DIGITS
from callbridge_popup.links import PLACES
from callbridge_popup.screens import Place
from callbridge_popup.settings import PopupSettings
from callbridge_popup.signing_in import SESSION_SECONDS
from callbridge_popup.streams import HEARTBEAT
from callbridge_popup.words import SIGN_IN

from bridge.testing import sample_event

FOLDER = Path(__file__).parents[1]
README = (FOLDER / "README.md").read_text("utf-8")
WEB = {file.name: file.read_text("utf-8") for file in (files("callbridge_popup") / "web").iterdir()}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def rows(heading: str) -> list[list[str]]:
    """The rows of the table with this heading."""
    (table,) = re.findall(rf"^\| {heading} \|.*\n\| ---.*\n((?:\|.*\n)+)", README, re.M)
    return [[cell.strip() for cell in line.strip("|\n").split(" | ")] for line in table.splitlines()]


def test_the_config_works_and_every_key_is_in_the_table() -> None:
    (block,) = blocks("toml")
    (table,) = tomllib.loads(block)["connectors"].values()
    assert (table.pop("kind"), table.pop("on")) == ("popup", ["call.*", "leg.ended"])
    PopupSettings.model_validate(table)
    told = {key.strip("`"): default.strip("`") for key, default, _ in rows("key")}
    assert [*told] == [*PopupSettings.model_fields]
    defaults = {key: tomllib.loads(f"value = {text}")["value"] for key, text in told.items() if text != "–"}
    assert PopupSettings.model_validate(defaults) == PopupSettings()


def test_the_places_of_links_are_all_named() -> None:
    (sentence,) = re.findall(r"^In the links (.*?) are filled", README, re.M | re.S)
    assert tuple(re.findall(r"`\{(\w+)\}`", sentence)) == PLACES


def test_the_fields_of_a_card_are_all_in_the_table() -> None:
    call = sample_event("call.ringing").call
    assert call is not None
    card = CardMaker(PopupSettings()).make("key", "1001", call, Place("ringing", 0.0), None, 0.0)
    told = [name for cell, _ in rows("field") for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(told) == sorted(card)


def test_the_commands_do_what_is_said(screens: Any) -> None:
    lines = [line.partition("#")[0].split() for block in blocks("sh") for line in block.splitlines()]
    commands = [line[1:] for line in lines if line and line[0] == "callbridge"]
    assert {command[1] for command in commands} == {"grant", "grants", "revoke"}
    for command in commands:
        done = screens.run(*command)
        assert done.exit_code == 0, done.stderr
    assert screens.run("popup", "revoke", "1001").stderr.strip().endswith("callbridge popup grants lists what is")


def test_the_attributes_of_the_script_are_those_it_reads() -> None:
    (section,) = re.findall(r"^## In a web CRM\n(.*?)^## ", README, re.M | re.S)
    told = set(re.findall(r"\bdata-(\w+)", section))
    (read,) = re.findall(r"const \{(.*?)\} = script\.dataset", WEB["embedded.js"])
    assert told == {*re.findall(r"(?:^|, ) *(\w+)", read)}
    (statuses,) = re.findall(r"`callbridge:status` tells of the connection\n?\s*\((.*?)\)", section, re.S)
    for status in re.findall(r"`(\w+)`", statuses):
        assert f'"{status}"' in WEB["stream.js"]


@pytest.mark.parametrize("what", ["wrong", "too_often", "link"])
def test_what_the_page_to_sign_in_on_says_is_in_the_table_of_errors(what: str) -> None:
    first_sentence = SIGN_IN["en"][what].partition(".")[0]
    assert any(first_sentence in seen for seen, _ in rows("you see"))


def test_the_numbers_are_those_of_the_code() -> None:
    assert f"a PIN has {({8: 'eight'})[PIN_DIGITS]} digits" in README
    assert f"{({5: 'five'})[MOST]} times in {({300.0: 'five'})[WINDOW]} minutes" in README
    assert f"last {SESSION_SECONDS // 86400} days" in README
    assert f"comes every {HEARTBEAT:.0f} seconds" in README


def test_the_pictures_are_there() -> None:
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (FOLDER / picture).read_bytes().startswith(b"\x89PNG")
