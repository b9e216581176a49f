"""The rights of a person whose number is kept: `forget` and `export`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from bridge.cli.common import config_option, reading, scrub, writing
from bridge.errors import BridgeError
from bridge.settings import load_settings


@click.command()
@config_option
@click.argument("number")
def forget(path: Path | None, number: str) -> None:
    """Erase a person everywhere in the store: the calls of a NUMBER with all that belongs to them, and the number
    wherever else it stands."""
    from bridge.store.people import delivered_to, erase, find_traces

    known = _e164(path, number)
    with reading(path) as connection:
        traces = find_traces(connection, known)
        told = delivered_to(connection, traces)
    with writing(path) as connection:
        counts = {table: count for table, count in erase(connection, traces).items() if count}
    click.echo(f"{known}: " + (_in_words(counts) + " erased" if counts else "nothing is kept of this number"))
    if told:
        click.echo(f"it was delivered to {', '.join(told)}: what they keep has to be erased there")
    if counts and (rest := scrub(path)):
        click.echo(rest)


@click.command()
@config_option
@click.argument("number")
def export(path: Path | None, number: str) -> None:
    """Print everything that is kept of a person, by a NUMBER: one JSON object a line."""
    from bridge.store.people import export as rows_of
    from bridge.store.people import find_traces
    from bridge.tables import print_json

    known = _e164(path, number)
    with reading(path) as connection:
        print_json(rows_of(connection, find_traces(connection, known)), sys.stdout)


def _e164(path: Path | None, text: str) -> str:
    from bridge.phone import read_number

    settings = load_settings(path, os.environ)
    number = read_number(text, region=next(iter(settings.sources.values())).region, locale=settings.locale)
    if number.e164 is None:
        raise BridgeError(f"{text} is no outside number: write one such as +902123205062")
    return number.e164


def _in_words(counts: dict[str, Any]) -> str:
    return ", ".join(f"{count} {table}" for table, count in counts.items())
