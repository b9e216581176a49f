"""`callbridge check --online`: each connector's own check, whatever it does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bridge.cli import main
from tests.plugins_for_tests.install import install

CHECKED = """
    from pydantic import BaseModel, SecretStr
    from bridge import ConnectorKind, Misconfigured, hookimpl

    class Options(BaseModel):
        says: str
        token: SecretStr = SecretStr("s3cret-token")

    class Chat:
        def __init__(self, options, context):
            self.options = options

        @hookimpl
        def bridge_deliver(self):
            raise AssertionError("a check delivers nothing")

        @hookimpl
        def bridge_check(self):
            match self.options.says:
                case "refused":
                    raise Misconfigured("mend s3cret-token")
                case "exit":
                    raise SystemExit("bye")
            return self.options.says

    @hookimpl
    def bridge_connectors():
        return [ConnectorKind(name="checked", create=Chat, settings=Options)]
"""


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder of installed plugins, with one whose checks do as they are told."""
    monkeypatch.syspath_prepend(str(tmp_path))
    install(tmp_path, "checked", CHECKED)
    yield
    sys.modules.pop("callbridge_test_checked", None)


def check(folder: Path, **says: str) -> Result:
    """Check connectors whose own checks do this."""
    config = folder / "bridge.toml"
    tables = [f'[connectors.{name}]\nkind = "checked"\non = ["*"]\nsays = "{word}"\n' for name, word in says.items()]
    config.write_text("".join(tables), "utf-8")
    return CliRunner().invoke(main, ["check", "--online", "--config", str(config)])


def test_a_check_that_passes_says_its_line(tmp_path: Path) -> None:
    result = check(tmp_path, chat="room found")

    assert (result.exit_code, "connectors.chat: room found" in result.stdout) == (0, True)


def test_checks_that_fail_or_exit_are_told_without_secrets_and_the_others_go_on(tmp_path: Path) -> None:
    result = check(tmp_path, refused="refused", leaves="exit", last="room found")

    assert result.exit_code == 1
    assert "connectors.refused: mend ***" in result.stderr
    assert "connectors.leaves: bye" in result.stderr
    assert "connectors.last: room found" in result.stdout
