"""Files that hold secrets are for their owner's eyes; where they are not, people are warned."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from bridge.cli import main
from bridge.testing import running_bridge

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Desk

CONFIG = '[intake]\ntokens = ["a-token-of-the-office"]\n'
CONNECTOR = '[connectors.hook]\nkind = "webhook"\non = ["*"]\nurl = "https://crm.example.com/hook"\n'


def warnings(config: Path, environ: dict[str, str] | None = None) -> list[str]:
    done = CliRunner().invoke(main, ["check", "--config", str(config)], env=environ or {})
    assert (done.exit_code, done.stdout) == (0, "the config is fine\n")
    return done.stderr.splitlines()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "bridge.toml"


@pytest.mark.parametrize("text", [CONFIG, CONNECTOR])
def test_a_config_with_secrets_that_everybody_can_read_is_warned_of(config: Path, text: str) -> None:
    config.write_text(text)
    config.chmod(0o644)
    assert warnings(config) == [
        f"warning: {config} holds secrets, and every user of this machine can read it: chmod o-rwx {config}"
    ]


@pytest.mark.parametrize(("text", "mode"), [(CONFIG, 0o600), (CONFIG, 0o640), ("", 0o644)])
def test_what_only_some_can_read_or_holds_no_secret_is_not_warned_of(config: Path, text: str, mode: int) -> None:
    config.write_text(text)
    config.chmod(mode)
    assert warnings(config) == []


def test_secret_files_that_everybody_can_read_are_warned_of(config: Path, tmp_path: Path) -> None:
    config.write_text("")
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name, mode in (("CALLBRIDGE_INTAKE__TOKENS", 0o644), ("CALLBRIDGE_HTTP__PROXY", 0o400), ("other", 0o644)):
        (folder / name).write_text("http://proxy.example.com:3128")
        (folder / name).chmod(mode)
    (folder / "CALLBRIDGE_INTAKE__TOKENS").chmod(0o600)
    (folder / "CALLBRIDGE_INTAKE__TOKENS").write_text("a-token-of-the-office")
    (folder / "CALLBRIDGE_INTAKE__TOKENS").chmod(0o644)
    (said,) = warnings(config, {"CALLBRIDGE_SECRETS_DIR": str(folder)})
    assert "CALLBRIDGE_INTAKE__TOKENS holds secrets" in said


def test_the_bridge_warns_at_its_start_and_shows_no_secret(tmp_path: Path) -> None:
    with running_bridge(tmp_path, CONFIG + CONNECTOR) as bridge:
        bridge.stop()
        bridge.config.chmod(0o644)
        bridge.start()
        log = bridge.log.read_text()
    assert f"WARNING callbridge: {bridge.config} holds secrets" in log
    assert "a-token-of-the-office" not in log


def test_the_store_is_made_for_its_owner_alone(open_desk: Callable[..., Desk], tmp_path: Path) -> None:
    desk = open_desk()
    desk.post({"event_type": "ringing", "call_uuid": "1"})
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("desk.db*")}
    assert {"desk.db", "desk.db-wal"} <= files.keys()
    assert set(files.values()) == {0o600}
