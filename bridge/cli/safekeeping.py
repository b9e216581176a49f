"""Keeping the store safe and up to date: `backup`, `restore` and `migrate`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from bridge.cli.common import config_option
from bridge.settings import load_settings

_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@click.command()
@config_option
@_file
def backup(path: Path | None, file: Path) -> None:
    """Write the whole store into a new FILE, while the bridge runs."""
    from bridge.store.safekeeping import back_up

    size = back_up(_store_of(path), file)
    click.echo(f"{file} holds the store as it is now ({size / 1_000_000:.1f} MB)")


@click.command()
@config_option
@_file
def restore(path: Path | None, file: Path) -> None:
    """Put a backup in the place of the store, while no bridge runs. The store that was there is kept beside it."""
    from bridge.store.safekeeping import restore as bring_back

    kept = bring_back(_store_of(path), file)
    click.echo(f"{file} is restored" + (f"; what was there is kept as {kept}" if kept else ""))
    click.echo("what waited when the backup was made is delivered at the next start, also what has arrived since")


@click.command()
@config_option
def migrate(path: Path | None) -> None:
    """Bring the store's tables up to date, as every start does; processes that run go on meanwhile."""
    from bridge.store import Database, migrations

    database = Database(_store_of(path))
    try:
        database.migrate()
    finally:
        database.close()
    click.echo(f"the store is up to date (revision {migrations.newest()})")


def _store_of(path: Path | None) -> str:
    return load_settings(path, os.environ).store.url.get_secret_value()
