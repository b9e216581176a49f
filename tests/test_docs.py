"""Nothing public is undocumented, no link leads nowhere, and the deployments fit the configuration."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

import click
import pytest

import bridge
from bridge import hookspecs
from bridge.cli import main
from bridge.errors import SettingsError
from bridge.settings import load_settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
DEPLOY = ROOT / "examples" / "deploy"
HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("bridge_"))
METHODS = (FunctionType, classmethod, property)
PAGES = sorted(path for pattern in ("*.md", "plugins/*/*.md", "examples/**/*.md") for path in ROOT.glob(pattern))


def documented(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    """The names in a module that have a docstring; of a constant, the text below it."""
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from documented(node.body, f"{node.name}.")
        if isinstance(node, ast.Assign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


@pytest.fixture(scope="module")
def docstrings() -> set[str]:
    return {name for path in (ROOT / "bridge").glob("*.py") for name in documented(ast.parse(path.read_text()).body)}


def commands(group: click.Group, name: str = "callbridge") -> Iterator[str]:
    for command in group.commands.values():
        yield f"{name} {command.name}"
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {command.name}")


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_docstring_and_is_in_the_readme(hook: str, docstrings: set[str]) -> None:
    assert hook in docstrings
    assert f"`{hook}`" in README


@pytest.mark.parametrize("name", bridge.__all__)
def test_every_public_name_has_a_docstring_and_is_in_the_readme(name: str, docstrings: set[str]) -> None:
    assert name in docstrings
    assert f"`{name}`" in README


@pytest.mark.parametrize("name", [name for name in bridge.__all__ if isinstance(getattr(bridge, name), type)])
def test_every_public_method_has_a_docstring(name: str, docstrings: set[str]) -> None:
    attributes = vars(getattr(bridge, name)).items()
    methods = {f"{name}.{key}" for key, value in attributes if key[0] != "_" and isinstance(value, METHODS)}

    assert methods - docstrings == set()


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

    lost = [target for target in targets if target[0] != "#" and not (page.parent / target).exists()]
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
    assert settings.store.url == "sqlite:////var/lib/callbridge/callbridge.db"
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
