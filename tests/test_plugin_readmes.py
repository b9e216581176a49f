"""The README of each plugin says what it does, shows configs that `callbridge check` passes, explains its errors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.cli import main

READMES = {path.parent.name: path.read_text("utf-8") for path in Path(__file__).parents[1].glob("plugins/*/README.md")}
CONFIGS = [
    pytest.param(config, id=f"{kind}-{number}")
    for kind, text in sorted(READMES.items())
    for number, config in enumerate(re.findall(r"^```toml\n(.*?)^```$", text, re.M | re.S), 1)
]


@pytest.mark.parametrize("kind", sorted(READMES))
def test_it_says_what_the_plugin_does_how_it_is_configured_and_what_its_errors_mean(kind: str) -> None:
    title, does, *_ = READMES[kind].split("\n\n")
    sections = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", READMES[kind], re.M | re.S))
    configs = "".join(text for name, text in sections.items() if re.search("configuration that works|Setup", name))
    errors = "".join(text for name, text in sections.items() if re.search("(errors?|answers) means?|Errors", name))

    assert title.splitlines()[0] == f"# callbridge-{kind}"
    assert len(does) > 40
    assert re.search(rf'kind = "{kind}"|sources\.{kind}', configs)
    assert len(re.findall(r"^\|", errors, re.M)) > 3


@pytest.mark.parametrize("config", CONFIGS)
def test_every_config_passes_the_check(config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands, but for the place of files that must be there."""
    monkeypatch.chdir(tmp_path)
    key = {"type": "service_account", "client_email": "a@b", "private_key": "a-secret", "token_uri": "https://b/token"}
    for file in re.findall(r'"/etc/callbridge/(\S+)"', config):
        Path(file).write_text(json.dumps(key), "utf-8")
    Path("bridge.toml").write_text(config.replace("/etc/callbridge/", ""), "utf-8")
    Path("bridge.toml").chmod(0o600)

    done = CliRunner().invoke(main, ["check", "--config", "bridge.toml"])

    assert (done.exit_code, done.stderr) == (0, ""), done.output
