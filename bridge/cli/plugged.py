"""What is plugged in: `plugins`, `connectors` (pause, resume), `whois`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bridge.cli.common import config_option, json_option, reading, show, writing
from bridge.errors import BridgeError
from bridge.settings import load_settings


@click.command()
@config_option
@json_option
def plugins(path: Path | None, as_json: bool) -> None:
    """The installed plugins, imported or not."""
    from bridge.monitoring import contradiction_warnings
    from bridge.plugins import describe_installed, examine_plugins
    from bridge.store import queries

    columns = ["name", "role", "distribution", "version", "state", "error"]
    show(iter(describe_installed(examine_plugins(load_settings(path, os.environ)))), columns, as_json, "none")
    with reading(path) as connection:
        for warning in contradiction_warnings(queries.sources(connection)):
            click.echo(f"warning: {warning}", err=True)


@click.group(invoke_without_command=True)
@config_option
@json_option
@click.pass_context
def connectors(ctx: click.Context, path: Path | None, as_json: bool) -> None:
    """The connectors and how they do; with a subcommand: pause or resume one."""
    if ctx.invoked_subcommand is not None:
        ctx.default_map = {ctx.invoked_subcommand: {"path": path}}
        return
    from bridge.connectors import describe_connectors
    from bridge.plugins import examine_plugins
    from bridge.store.dialects import dialect_of

    loaded = examine_plugins(load_settings(path, os.environ))
    with reading(path) as connection:
        rows = describe_connectors(connection, loaded.connectors, dialect_of(connection).now(connection))
    columns = ["name", "kind", "state", "error", "waiting", "dead", "last_success"]
    show(iter(rows), columns, as_json, "no connectors")


@connectors.command()
@config_option
@click.argument("name")
def pause(path: Path | None, name: str) -> None:
    """Deliver nothing to a connector until it is resumed; what is owed to it waits."""
    from bridge.health import Health

    _change_health(path, name, Health.pause)
    click.echo(f"{name} is paused")


@connectors.command()
@config_option
@click.argument("name")
def resume(path: Path | None, name: str) -> None:
    """Deliver to a connector again, whatever stopped it."""
    from bridge.health import Health

    _change_health(path, name, Health.resume)
    click.echo(f"{name} is resumed")


def _change_health(path: Path | None, name: str, change: Callable[[Any], Any]) -> None:
    from bridge.store import prepare
    from bridge.store.outcomes import change_health

    settings = load_settings(path, os.environ)
    if name not in settings.connectors:
        known = ", ".join(sorted(settings.connectors)) or "none"
        raise BridgeError(f"there is no connector {name}; there are: {known}")
    with writing(path) as connection:
        prepare(connection, (), [(name, "")])
        change_health(connection, [(name, change)])


@click.command()
@config_option
@json_option
@click.argument("number")
def whois(path: Path | None, as_json: bool, number: str) -> None:
    """Ask every directory who has a number: what it says, how fast, and where it has that from.

    Exit code 1 where a directory cannot say.
    """
    from bridge.whois import ask_directories

    rows = list(ask_directories(load_settings(path, os.environ), number))
    columns = ["directory", "kind", "state", "milliseconds", "name", "company", "id", "note", "where", "error"]
    show(iter(rows), columns, as_json, "no directories")
    if any(row["error"] for row in rows):
        sys.exit(1)
