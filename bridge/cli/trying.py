"""Trying it out: `simulate`."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from bridge.cli.common import config_option
from bridge.errors import BridgeError, SettingsError
from bridge.settings import Settings, load_settings


@click.command()
@config_option
@click.argument("scenario", required=False)
@click.option("--to", "url", help="Where to post, such as http://127.0.0.1:8080/event/TOKEN")
@click.option("--list", "as_list", is_flag=True, help="List the scenarios.")
@click.option("--source", help="The source whose PBX is played (else the first configured one).")
def simulate(path: Path | None, scenario: str | None, url: str | None, as_list: bool, source: str | None) -> None:
    """Play a scripted call, as the PBX would post it."""
    from bridge.plugins import load_source_kind
    from bridge.simulate import play

    name, settings = _chosen_source(path, source)
    scenarios = load_source_kind(settings.kind).scenarios
    if as_list:
        for known in sorted(scenarios):
            click.echo(known)
        return
    if scenario is None or url is None:
        raise click.UsageError("name a scenario and where to post it (--to URL), or say --list")
    if scenario not in scenarios:
        raise click.UsageError(f"there is no scenario {scenario} of {name}; there are: {', '.join(sorted(scenarios))}")
    refused = 0
    for step in play(scenarios[scenario](datetime.now(settings.timezone)), url):
        refused += not step.is_ok
        called = " ".join(step.form.get(field, "") for field in ("event_type", "direction", "caller_id_number"))
        click.echo(f"{step.status or '---'} {step.text.strip()[:80]}  {called}")
    if refused:
        raise BridgeError(f"{refused} posts were refused")


def _chosen_source(path: Path | None, name: str | None) -> tuple[str, Any]:
    """The source to play: of the config where there is one; trying a bridge elsewhere needs none."""
    try:
        sources = load_settings(path, os.environ).sources
    except SettingsError:
        if path is not None:
            raise
        sources = Settings().sources
    if name is not None and name not in sources:
        raise click.UsageError(f"there is no source {name}; there are: {', '.join(sorted(sources))}")
    chosen = name or next(iter(sources))
    return chosen, sources[chosen]
