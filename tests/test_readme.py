"""What the README tells a newcomer to type works, and what it shows is true."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import click
import pytest
from click.testing import CliRunner, Result
from pydantic import BaseModel

from bridge.cli import main
from bridge.plugins import find_faults, load_plugins
from bridge.settings import (
    BreakerSettings,
    ConnectorSettings,
    RetrySettings,
    Settings,
    SourceSettings,
    load_settings,
)
from bridge.testing import BridgeProcess, recording_sink

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
NOTEBOOK = ROOT / "examples" / "custom_connector"
CONNECTOR = "connectors.NAME."


def blocks(language: str, text: str = README) -> list[str]:
    """The fenced blocks of a language, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, re.M | re.S)
    return [dedent(body) for _, body in found]


def block(language: str, *, holding: str) -> str:
    """The one block that holds a text."""
    (found,) = [body for body in blocks(language) if holding in body]
    return found


def configs() -> list[str]:
    """The configs, but for that of a plugin which has yet to be written: see test_authoring.py."""
    return [body for body in blocks("toml") if "telegram_notes" not in body]


def commands() -> list[str]:
    """Every `callbridge …` in a block or between backticks, with the optional parts; but for those plugins bring."""
    lines = "\n".join(blocks("sh") + blocks("console") + re.findall(r"`(callbridge [^`\n]+)`", README)).splitlines()
    return sorted({line.removeprefix("$ ") for line in lines if re.match(r"(\$ )?callbridge (?!KIND )", line)})


def defaults() -> dict[str, str]:
    """The table of keys: the default of each, as TOML; empty where there is none."""
    rows = re.findall(r"^\| `([\w.]+)` \| (.+?) \| .*\|$", README[: README.index("\n## Connectors")], re.M)
    return {key: default.strip("`") if default[0] == "`" else "" for key, default in rows}


def as_toml(keys: Mapping[str, str]) -> str:
    return "\n".join(f"{key} = {value}" for key, value in keys.items() if value)


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CALLBRIDGE_")}
    return subprocess.run(arguments, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False)


def callbridge(line: str, folder: Path) -> Result:
    """A command of the README, in a folder (in the process of the test, which is quicker than one of its own)."""
    with chdir(folder):
        return CliRunner().invoke(main, shlex.split(line)[1:])


@pytest.fixture(scope="module")
def as_delivered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    """A bridge with config/bridge.toml as it is, but for the port."""
    bridge = BridgeProcess(tmp_path_factory.mktemp("as_delivered"), "")
    text = (ROOT / "config" / "bridge.toml").read_text("utf-8")
    bridge.config.write_text(text.replace("port = 8080", f"port = {bridge.port}"), "utf-8")
    try:
        bridge.start()
        yield bridge
    finally:
        bridge.close()


# --- the first call -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_sample_is_answered_as_shown(as_delivered: BridgeProcess) -> None:
    curl, answer, _ = block("console", holding="curl").splitlines()
    command = shlex.split(curl.removeprefix("$ ").replace("http://127.0.0.1:8080", as_delivered.url))

    assert run([*command, "--silent"], as_delivered.folder).stdout == answer == "1234"
    assert (
        "(0212) 320 50 62" in callbridge(f"callbridge calls --config {as_delivered.config}", as_delivered.folder).stdout
    )


def test_the_backup_holds_what_the_running_bridge_has_kept(as_delivered: BridgeProcess) -> None:
    as_delivered.post("/event", {"event_type": "ringing", "call_uuid": "backed-up"})
    command, _ = block("sh", holding="callbridge backup").splitlines()

    assert callbridge(f"{command} --config {as_delivered.config}", as_delivered.folder).exit_code == 0

    kept = callbridge(f"callbridge events --json --config {_config_of(as_delivered, 'backup.db')}", as_delivered.folder)
    assert '"id": "backed-up"' in kept.stdout


def _config_of(bridge: BridgeProcess, database: str) -> Path:
    path = bridge.folder / "backup.toml"
    path.write_text(f'store.url = "sqlite:///{database}"', "utf-8")
    return path


def test_the_metrics_to_alert_on_are_there(as_delivered: BridgeProcess) -> None:
    metrics = as_delivered.get("/metrics").text

    named = set(re.findall(r"`(callbridge_\w+)`", README)) - {"callbridge_notebook"}
    assert named
    assert [name for name in named if f"# HELP {name} " not in metrics] == []


def test_a_newcomer_gets_from_init_to_a_missed_call_in_slack(tmp_path: Path) -> None:
    init, check, _ = block("sh", holding="callbridge init").splitlines()
    online, simulate, deliveries = block("sh", holding="--online").splitlines()
    printed = callbridge(init, tmp_path)
    token = re.search(r"^https://calls\.example\.com/event/(\S+)$", printed.stdout + printed.stderr, re.M)
    assert token, printed.stderr
    assert callbridge(check, tmp_path).exit_code == 0

    with recording_sink() as slack:
        bridge = BridgeProcess(tmp_path, "")
        bridge.config = tmp_path / "my.toml"
        written = bridge.config.read_text("utf-8").replace("8080", str(bridge.port))
        connector = re.sub(
            'webhook_url = ".*"', f'webhook_url = "{slack.url}"', block("toml", holding='kind = "slack"')
        )
        bridge.config.write_text(written + connector, "utf-8")
        try:
            bridge.start()
            assert callbridge(online, tmp_path).exit_code == 0
            to = simulate.replace("http://127.0.0.1:8080", bridge.url).replace("TOKEN", token[1])
            assert callbridge(to, tmp_path).exit_code == 0
            slack.wait_for(2)
        finally:
            bridge.close()

    assert "Kaçan çağrı" in slack.arrivals[-1].json()["text"]
    assert "missed_to_slack" in callbridge(deliveries, tmp_path).stdout


# --- the config ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", configs())
def test_every_config_has_no_fault(config: str, tmp_path: Path) -> None:
    path = tmp_path / "bridge.toml"
    path.write_text(config, "utf-8")

    assert find_faults(load_settings(path, {})) == []


def test_the_defaults_of_the_core_are_as_the_table_says(tmp_path: Path) -> None:
    stated = {key: value for key, value in defaults().items() if not key.startswith(CONNECTOR)}
    path = tmp_path / "bridge.toml"
    path.write_text(as_toml(stated), "utf-8")

    given = load_settings(path, {}).model_dump()
    given["sources"]["bulutsantralim"].pop("answered_means")
    assert given == Settings().model_dump()
    assert load_plugins(load_settings(path, {})).faults == []


@pytest.mark.parametrize("own", ['kind = "slack"\nwebhook_url', 'kind = "webhook"\nurl'])
def test_the_defaults_of_connectors_are_as_the_table_says(own: str, tmp_path: Path) -> None:
    stated = {key.removeprefix(CONNECTOR): value for key, value in defaults().items() if key.startswith(CONNECTOR)}
    path = tmp_path / "bridge.toml"
    connector = f'{own} = "https://example.com/x"\non = ["*"]'
    path.write_text(f"[connectors.bare]\n{connector}\n[connectors.full]\n{connector}\n{as_toml(stated)}", "utf-8")

    loaded = load_plugins(load_settings(path, {})).connectors
    bare, full = loaded["bare"], loaded["full"]

    policy = bare.policy
    assert replace(full.policy, schedule=policy.schedule) == policy
    assert bare.kind is not None
    assert full.settings.retry.schedule == bare.kind.retry_schedule
    assert full.settings.retry.jitter == bare.settings.retry.jitter
    assert full.settings.when == bare.settings.when


def test_the_table_has_every_key_of_the_core() -> None:
    tables: dict[str, type[BaseModel]] = {
        **{f"{name}.": type(value) for name, value in Settings() if isinstance(value, BaseModel)},
        "sources.bulutsantralim.": SourceSettings,
        CONNECTOR: ConnectorSettings,
        f"{CONNECTOR}retry.": RetrySettings,
        f"{CONNECTOR}breaker.": BreakerSettings,
    }
    keys = {f"{prefix}{key}" for prefix, table in tables.items() for key in table.model_fields}

    left_out = {"sources.bulutsantralim.kind", f"{CONNECTOR}retry", f"{CONNECTOR}breaker"}
    assert keys - left_out <= set(defaults())


# --- commands -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", commands())
def test_every_command_takes_the_words_it_is_shown_with(line: str) -> None:
    words = shlex.split(re.sub(r"[\[\]]", "", line), comments=True)[1:]
    words = [{"COMMAND": "serve"}.get(word, word) for word in words if word != "--help"]
    command: click.Command = main
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    context = click.Context(command)

    _, rest, _ = command.make_parser(context).parse_args(args=words)

    assert rest == []
    assert command is not main


def test_every_make_target_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    shown = set(re.findall(r"(?:`|^|&& )make ([a-z]+)", README, re.M))

    assert {"demo", "run", "test", "check", "bench", "faults", "clean", "install"} == shown
    assert shown <= targets
