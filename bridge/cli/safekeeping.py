"""Keeping the store safe and up to date: `backup`, `restore`, `migrate` and `copy`."""

from __future__ import annotations

import os
from pathlib import Path

import click
from pydantic import SecretStr, ValidationError

from bridge.cli.common import config_option
from bridge.settings import StoreSettings, load_settings

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
        database.refuse_damaged()
        database.migrate()
    finally:
        database.close()
    click.echo(f"the store is up to date (revision {migrations.newest()})")


@click.command()
@config_option
@click.option("--from", "source", help="The URL of the store to copy; else the config's.")
@click.option("--to", "target", help="The URL of an empty database; else the config's store.")
def copy(path: Path | None, source: str | None, target: str | None) -> None:
    """Copy a store that no bridge uses into an empty database, such as from SQLite to PostgreSQL."""
    from bridge.store.copying import copy_store

    if source is None and target is None:
        raise click.UsageError("say where --from or where --to")
    urls = [_store_of(path) if url is None else _checked(url) for url in (source, target)]
    if urls[0] == urls[1]:
        raise click.UsageError("--from and --to are the same store")
    counts = [f"{count} {table}" for table, count in copy_store(*urls)]
    click.echo(f"copied and counted: {', '.join(counts)}")


def _checked(url: str) -> str:
    try:
        return StoreSettings(url=SecretStr(url)).url.get_secret_value()
    except ValidationError as error:
        raise click.UsageError(error.errors()[0]["msg"]) from None


def _store_of(path: Path | None) -> str:
    return load_settings(path, os.environ).store.url.get_secret_value()
