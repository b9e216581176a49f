"""The group of all commands: the bridge's own and those that configured connectors bring; errors in a line."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from bridge.cli.brought import brought_commands
from bridge.errors import BridgeError, SettingsError


class Commands(click.Group):
    """Commands that say what is wrong in a line or a few, and exit 1, where they fail for a reason people can mend.

    A word that is none of them may be the kind of configured connectors that bring commands.
    """

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if ctx.parent is None and args[0] not in self.commands and not args[0].startswith("-"):
            brought = brought_commands(ctx, args[0], args[1:])
            if brought is not None:
                return args[0], brought, args[1:]
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            for fault in error.faults:
                click.echo(str(fault), err=True)
            sys.exit(1)
        except BridgeError as error:
            click.echo(str(error), err=True)
            sys.exit(1)
        except BrokenPipeError:  # `callbridge events | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
