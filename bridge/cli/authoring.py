"""For plugin authors: `new-plugin`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click


@click.command("new-plugin")
@click.argument("name")
@click.option("--into", "folder", type=click.Path(path_type=Path), help="The folder to write (else ./callbridge-NAME).")
@click.pass_context
def new_plugin(ctx: click.Context, name: str, folder: Path | None) -> None:
    """Write a connector of your own, of the kind NAME: it installs, passes its tests, and delivers.

    NAME is such as telegram_notes.
    """
    from bridge.pages import RESERVED
    from bridge.plugins import find_installed
    from bridge.scaffold import write_plugin

    group = ctx.find_root().command
    commands = group.commands if isinstance(group, click.Group) else {}
    target = write_plugin(name, folder, RESERVED | commands.keys() | find_installed().keys())
    install = shlex.quote(f"{target if target.is_absolute() else f'./{target}'}[dev]")
    click.echo(f"Install it beside callbridge: python -m pip install -e {install}", err=True)
    click.echo(f"Run its tests: python -m pytest {shlex.quote(str(target))}", err=True)
    click.echo(f'Then name it in the config: kind = "{name}"', err=True)
    click.echo(str(target))
