"""Serving, and the config: `serve`, `init`, `check`."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import click

from bridge.cli.common import config_option, loaded_plugins, set_up_logging
from bridge.duty import Role, find_duty
from bridge.errors import SettingsError
from bridge.masking import mask_text
from bridge.model import Locale
from bridge.permissions import exposed_files
from bridge.redaction import Redactor
from bridge.settings import FaultySettingsError, load_settings, secrets_of


@click.command()
@config_option
@click.option(
    "--role",
    type=click.Choice(["all", "intake", "worker"]),
    default="all",
    show_default=True,
    help="Of several processes on one store: take posts (and serve pages), deliver, or both.",
)
@click.option("--connectors", help="Deliver to these alone, such as a,b; other processes see to the rest.")
def serve(path: Path | None, role: Role, connectors: str | None) -> None:
    """Take the PBX's posts and deliver the events."""
    from bridge import server
    from bridge.delivery.recorder import FlightRecorder

    settings = load_settings(path, os.environ)
    if role == "intake" and connectors is not None:
        raise click.UsageError("--role intake delivers to no connector: leave --connectors out")
    named = [name.strip() for name in connectors.split(",")] if connectors is not None else []
    duty = find_duty(role, named, settings.connectors)
    redactor = Redactor(secrets_of(settings))
    also = mask_text if settings.privacy.mask_numbers else str
    set_up_logging(settings.log.level.upper(), redactor, also)
    server.check_address(settings.server)

    recorder = FlightRecorder()

    def make() -> tuple[Any, Any]:
        from bridge.app import Bridge, create_app

        bridge = Bridge(settings, redactor, duty=duty, recorder=recorder)
        for warning in exposed_files(path, os.environ, secrets_of(settings) | bridge.plugins.secrets):
            logging.getLogger("callbridge").warning(warning)
        return bridge, create_app(bridge)

    server.serve(settings.server, make)


@click.command()
@config_option
@click.option("--locale", type=click.Choice(["en", "tr"]), default="en", show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True)
@click.option("--public-url", help="How the PBX reaches the bridge, such as https://calls.example.com")
def init(path: Path | None, locale: Locale, host: str, port: int, public_url: str | None) -> None:
    """Write a config with a fresh token, and print the URL to enter in the PBX."""
    from bridge.initial import write_config
    from bridge.settings import DEFAULT_FILE

    target = path or Path(os.environ.get("CALLBRIDGE_CONFIG") or DEFAULT_FILE)
    url = write_config(target, locale=locale, host=host, port=port, public_url=public_url)
    click.echo(f"{target} is written. Start the bridge with `callbridge serve --config {target}`.", err=True)
    click.echo("Enter this URL in the PBX (CRM Entegrasyonu, Bildirilecek URL); it holds the secret:", err=True)
    click.echo(url)


@click.command()
@config_option
@click.option("--online", is_flag=True, help="Also let each connector and directory test its credentials and target.")
def check(path: Path | None, online: bool) -> None:
    """Say everything that is wrong with the config; exit 1 if anything is."""
    from bridge.plugins import examine_plugins, find_faults

    try:
        settings = load_settings(path, os.environ)
    except SettingsError as error:
        rest = error.rest if isinstance(error, FaultySettingsError) else None
        faults = [*error.faults, *(find_faults(rest) if rest else [])]
    else:
        plugins = examine_plugins(settings)
        faults = plugins.faults
        for warning in exposed_files(path, os.environ, secrets_of(settings) | plugins.secrets):
            click.echo(f"warning: {warning}", err=True)
    if faults:
        for fault in faults:
            click.echo(str(fault))
        sys.exit(1)
    if online:
        with loaded_plugins(settings) as plugins:
            if not _check_online(plugins):
                sys.exit(1)
    click.echo("the config is fine")


def _check_online(plugins: Any) -> bool:
    """Run the own check of each connector and directory; whether all passed."""
    redactor = Redactor(plugins.secrets)
    named = [("connectors", name) for name in plugins.connectors]
    named += [("directories", name) for name in plugins.directories]
    results = [(role, name, plugins.check(role, name)) for role, name in named]
    for role, name, (said, error) in results:
        click.echo(redactor.clean(f"{role}.{name}: {error or said or 'has no check of its own'}"), err=bool(error))
    return not any(error for *_, (_, error) in results)
