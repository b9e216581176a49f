"""Directories as the bridge runs them, and as an operator asks them: `callbridge whois`, `check --online`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bridge.cli import main
from bridge.plugins import find_faults, load_plugins
from bridge.settings import Settings
from tests.plugins_for_tests.install import install

BOOK = """
    from pydantic import BaseModel, SecretStr
    from bridge import Contact, DirectoryKind, Misconfigured, hookimpl

    class Options(BaseModel):
        names: list[str] = []
        token: SecretStr = SecretStr("")
        broken: bool = False

    class Book:
        def __init__(self, options, context):
            self.options, self.context = options, context
            self.calls = []

        @hookimpl
        def bridge_start(self):
            self.calls.append("start")
            if self.options.broken:
                raise OSError(f"no way in with {self.options.token.get_secret_value()}")

        @hookimpl
        def bridge_lookup(self, number):
            if self.options.broken:
                raise OSError(f"no route with {self.options.token.get_secret_value()}")
            known = {"company": "Örnek", "id": "7", "note": self.context.region}
            return [Contact(name=name, **known) for name in self.options.names]

        @hookimpl
        def bridge_check(self):
            if self.options.broken:
                raise Misconfigured(f"refused {self.options.token.get_secret_value()}")
            return f"{len(self.options.names)} names in a drawer"

        @hookimpl
        def bridge_stop(self):
            self.calls.append("stop")

    @hookimpl
    def bridge_directories():
        return [DirectoryKind(name="book", create=Book, settings=Options)]
"""

OFFICE = """
[directories.first]
kind = "book"
[directories.second]
kind = "book"
names = ["Ayşe", "Fatma"]
"""

KEYS = ["directory", "kind", "state", "milliseconds", "error", "where", "name", "company", "id", "note"]


@pytest.fixture(autouse=True)
def _book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(tmp_path))
    install(tmp_path, "book", BOOK)
    yield
    sys.modules.pop("callbridge_test_book", None)


def run(folder: Path, config: str, *arguments: str) -> Result:
    path = folder / "bridge.toml"
    path.write_text(config, "utf-8")
    return CliRunner().invoke(main, [*arguments, "--config", str(path)])


def whois(folder: Path, config: str, number: str = "+902123205062") -> list[dict[str, Any]]:
    done = run(folder, config, "whois", number, "--json")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_whois_shows_who_answered_what_how_fast_and_from_where(tmp_path: Path) -> None:
    rows = whois(tmp_path, OFFICE)

    assert [list(row) for row in rows] == [KEYS] * 3
    assert all(row["milliseconds"] >= 0 for row in rows)
    assert [(row["directory"], row["state"], row["name"], row["where"]) for row in rows] == [
        ("first", "unknown", None, "0 names in a drawer"),
        ("second", "found", "Ayşe", "2 names in a drawer"),
        ("second", "found", "Fatma", "2 names in a drawer"),
    ]
    assert (rows[1]["kind"], rows[1]["company"], rows[1]["id"], rows[1]["note"]) == ("book", "Örnek", "7", "TR")


def test_whois_is_a_table_for_people(tmp_path: Path) -> None:
    done = run(tmp_path, OFFICE, "whois", "0212 320 50 62")

    assert done.exit_code == 0
    assert "milliseconds" in done.stdout.splitlines()[0]
    assert "Fatma" in done.stdout


def test_whois_goes_on_when_a_directory_is_down_and_shows_no_secret(tmp_path: Path) -> None:
    broken = '[directories.down]\nkind = "book"\nbroken = true\ntoken = "s3cret-token"\n'
    missing = '[directories.missing]\nkind = "nonesuch"\n'
    done = run(tmp_path, broken + missing + OFFICE, "whois", "+902123205062", "--json")
    down, lost, *others = [json.loads(line) for line in done.stdout.splitlines()]

    assert done.exit_code == 1
    assert (down["state"], down["error"], down["milliseconds"]) == ("failed", "no route with ***", None)
    assert lost["state"] == "failed"
    assert "nonesuch" in lost["error"]
    assert [row["state"] for row in others] == ["unknown", "found", "found"]
    assert "s3cret-token" not in done.output


@pytest.mark.parametrize("number", ["1001", "anonymous", "abc", "*8"])
def test_whois_says_what_is_no_outside_number(tmp_path: Path, number: str) -> None:
    done = run(tmp_path, OFFICE, "whois", number)

    assert done.exit_code == 1
    assert f"{number} is no outside number" in done.stderr


def test_whois_without_directories_says_so(tmp_path: Path) -> None:
    assert "no directories" in run(tmp_path, "", "whois", "+902123205062").stdout


def test_check_online_checks_directories_too(tmp_path: Path) -> None:
    done = run(tmp_path, OFFICE, "check", "--online")
    assert done.exit_code == 0
    assert "directories.second: 2 names in a drawer" in done.stdout

    broken = '[directories.down]\nkind = "book"\nbroken = true\ntoken = "s3cret-token"\n'
    done = run(tmp_path, broken, "check", "--online")
    assert done.exit_code == 1
    assert "directories.down: refused ***" in done.output


def test_a_directory_is_started_with_the_bridge_and_stopped_with_it(open_desk: Callable[..., Any]) -> None:
    desk = open_desk(OFFICE)
    book = desk.bridge.plugins.directories["second"].plugin
    assert book.calls == ["start"]

    desk.bridge.drain(2.0)
    assert book.calls == ["start", "stop"]


def test_a_directory_that_cannot_start_is_named_and_the_others_answer(open_desk: Callable[..., Any]) -> None:
    desk = open_desk(OFFICE + '[directories.down]\nkind = "book"\nbroken = true\ntoken = "s3cret-token"\n')

    failed = desk.client.get("/readyz").json["failed_directories"]
    assert failed == {"down": "bridge_start failed: OSError: no way in with ***"}


def test_national_numbers_of_a_directory_are_of_its_region_else_of_the_first_source() -> None:
    settings = Settings(
        sources={"bulutsantralim": {"region": "DE"}},
        directories={"own": {"kind": "book", "region": "FR"}, "others": {"kind": "book"}},
    )
    loaded = load_plugins(settings).directories

    assert [loaded[name].plugin.context.region for name in ("own", "others")] == ["FR", "DE"]


def test_a_budget_longer_than_a_lease_can_spare_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, '[directories.slow]\nkind = "book"\ntimeout = "11s"', "check")

    assert done.exit_code == 1
    assert "directories.slow.timeout" in done.stdout
    assert find_faults(Settings(directories={"slow": {"kind": "book", "timeout": "10s"}})) == []
