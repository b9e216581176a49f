"""Nothing public is undocumented, no link leads nowhere, and the deployments fit the configuration."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import bridge
from bridge.cli import main
from bridge.errors import SettingsError
from bridge.settings import load_settings
from tests.api_page import PAGE, Entry, hooks, kit, page, public

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
DEPLOY = ROOT / "examples" / "deploy"
DOCUMENTED = hooks() | public() | kit()
PAGES = sorted(
    path for pattern in ("*.md", "plugins/*.md", "plugins/*/*.md", "examples/**/*.md") for path in ROOT.glob(pattern)
)


def commands(group: click.Group, name: str = "callbridge") -> Iterator[str]:
    for command in group.commands.values():
        yield f"{name} {command.name}"
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {command.name}")


@pytest.mark.parametrize("hook", hooks())
def test_every_hook_is_in_the_readme(hook: str) -> None:
    assert f"`{hook}`" in README


def test_the_page_of_the_api_is_made_of_the_docstrings_as_they_are() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `python tests/api_page.py`"


@pytest.mark.parametrize("entry", DOCUMENTED.values(), ids=str)
def test_every_hook_and_public_name_is_documented_and_typed_with_all_it_has(entry: Entry) -> None:
    assert entry.doc, f"{entry.name} has no docstring"
    for method in entry.methods:
        assert method.doc, f"{entry.name}.{method.name} has no docstring"
    for signature in [entry.signature, entry.init, *(method.signature for method in entry.methods)]:
        assert is_typed(signature), signature
    explained = f"{entry.doc} {' '.join(method.doc for method in entry.methods)}"
    assert [one.name for one in entry.fields if not one.doc and f"`{one.name}`" not in explained] == []


def is_typed(signature: str) -> bool:
    """Whether a function, as it is shown, says the type of each argument and of what it returns."""
    if "->" not in signature:
        return True
    (function,) = ast.parse(f"def {signature.removeprefix('property ')}: ...").body
    assert isinstance(function, ast.FunctionDef)
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return "-> ?" not in signature and all(one.annotation is not None for one in every if one is not None)


@pytest.mark.parametrize("command", [*commands(main)])
def test_every_command_is_in_the_readme(command: str) -> None:
    assert re.search(rf"`{command}\b", README)


@pytest.mark.parametrize("event_type", bridge.EVENT_TYPES)
def test_every_event_type_is_in_the_readme(event_type: str) -> None:
    assert f"`{event_type}`" in README


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    anchors = {
        re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.M)
    }

    lost = [target for target in targets if target[0] != "#" and not (page.parent / target.partition("#")[0]).exists()]
    assert lost == []
    assert [target for target in targets if target[0] == "#" and target[1:] not in anchors] == []


def test_the_systemd_unit_fits_the_configuration(tmp_path: Path) -> None:
    unit = (DEPLOY / "systemd" / "callbridge.service").read_text("utf-8")
    environment = dict(re.findall(r"^Environment=(CALLBRIDGE_\w+)=(.*)$", unit, re.M))
    for name in re.findall(r"^LoadCredential=(\w+):/etc/callbridge/secrets/\1$", unit, re.M):
        (tmp_path / name).write_text("first,second\n")

    assert environment["CALLBRIDGE_SECRETS_DIR"] == "%d"
    settings = load_settings(ROOT / "config" / "bridge.toml", environment | {"CALLBRIDGE_SECRETS_DIR": str(tmp_path)})

    assert [token.get_secret_value() for token in settings.intake.tokens] == ["first", "second"]
    assert settings.store.url.get_secret_value() == "sqlite:////var/lib/callbridge/callbridge.db"
    assert settings.server.on_loopback


def test_what_kubernetes_sets_for_a_service_called_callbridge_is_refused_with_its_name() -> None:
    with pytest.raises(SettingsError, match="CALLBRIDGE_PORT"):
        load_settings(ROOT / "config" / "bridge.toml", {"CALLBRIDGE_PORT": "tcp://10.0.0.7:8080"})

    assert "enableServiceLinks: false" in (DEPLOY / "README.md").read_text("utf-8")


def test_the_proxies_write_no_url_into_a_log_and_show_nothing_but_the_webhook() -> None:
    nginx = (DEPLOY / "https" / "nginx.conf").read_text("utf-8")
    caddy = (DEPLOY / "https" / "Caddyfile").read_text("utf-8")
    tunnel = (DEPLOY / "tunnel" / "cloudflared.yml").read_text("utf-8")

    assert len(re.findall(r"^server \{", nginx, re.M)) == nginx.count("access_log off;") == nginx.count(" emerg;")
    assert re.findall(r"location (\S.*) \{", nginx) == ["/.well-known/acme-challenge/", "/", "~ ^/event(/|$)", "/"]
    assert "exclude http.log.error http.log.access" in caddy
    assert "path /event /event/*" in caddy
    assert "loglevel: fatal" in tunnel
    assert "path: ^/event(/.*)?$" in tunnel
