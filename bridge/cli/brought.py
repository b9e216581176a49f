"""The commands that configured connectors bring: `callbridge KIND COMMAND …`."""

from __future__ import annotations

import copy
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import click

from bridge.cli.common import config_option, loaded_plugins, set_up_logging
from bridge.errors import BridgeError, SettingsError
from bridge.redaction import Redactor
from bridge.settings import Settings, load_settings, secrets_of


def brought_commands(ctx: click.Context, kind: str, arguments: Sequence[str]) -> click.Group | None:
    """The commands of a connector of that kind: the one `--connector` names, else the only one that is configured.

    None where there is no such kind, or its connectors bring no commands. What the words after the kind
    say of the config and the connector must be known before they can be parsed, so both are looked up in the plain
    `arguments`. Raises UsageError where none of the kind is configured, SettingsError where the config cannot be used,
    BridgeError where the connector has failed.
    """
    from bridge.plugins import find_installed

    path, is_installed = _value(arguments, "--config"), kind in find_installed()
    try:
        settings = load_settings(Path(path) if path else None, os.environ)
    except SettingsError:
        if path or is_installed:
            raise
        return None
    names = [name for name, one in settings.connectors.items() if one.kind == kind]
    if not names and is_installed:
        raise click.UsageError(f"no connector of kind {kind} is configured, and commands come with one", ctx)
    if not names:
        return None
    name = _value(arguments, "--connector")
    wants_help = not arguments or not {"-h", "--help"}.isdisjoint(arguments)
    if name not in names and (name or len(names) > 1) and not wants_help:
        raise click.UsageError(f"say --connector with one of those of kind {kind}: {', '.join(names)}", ctx)
    return _commands(ctx, settings, kind, name if name in names else names[0])


def _commands(ctx: click.Context, settings: Settings, kind: str, name: str) -> click.Group | None:
    plugins = ctx.with_resource(loaded_plugins(settings))
    redactor = Redactor(plugins.secrets | secrets_of(settings))
    if not logging.getLogger().handlers:
        set_up_logging(logging.WARNING, redactor)
    error = plugins.connectors[name].error
    if error is not None:
        raise BridgeError(redactor.clean(f"connector {name} failed: {error}"))
    bring = plugins.caller("connectors", name, "bridge_commands")
    if bring is None:
        return None
    brought = [_with_options(command) for command in bring()]
    return _Brought(
        redactor.clean,
        name=kind,
        commands=brought,
        params=_options(),
        help=f"What the connectors of kind {kind} bring.",
    )


class _Brought(click.Group):
    """Commands of a plugin. `clean` takes secrets out of what they fail with."""

    def __init__(self, clean: Callable[[str], str], **options: Any) -> None:
        super().__init__(**options)
        self._clean = clean

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BridgeError as error:
            raise BridgeError(self._clean(str(error))) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception:  # noqa: BLE001  # a plugin may raise anything: its author wants to see where
            click.echo(self._clean(traceback.format_exc()), err=True)
            sys.exit(1)


def _with_options(command: click.Command) -> click.Command:
    """A command with the options of all of them; of a group, each of its commands too."""
    ours = copy.copy(command)
    ours.params = [*command.params, *_options()]
    if isinstance(ours, click.Group):
        ours.commands = {name: _with_options(one) for name, one in ours.commands.items()}
    return ours


def _options() -> list[click.Parameter]:
    """`--config` and `--connector`, which have been read by the time the command is parsed."""

    @config_option
    @click.option("--connector", help="Which one, where several of the kind are configured.")
    def take() -> None: ...

    options: list[click.Parameter] = click.command(take).params
    for option in options:
        option.expose_value = False
    return options


def _value(arguments: Sequence[str], option: str) -> str | None:
    for argument, following in zip_longest(arguments, arguments[1:]):
        if argument == option:
            return following
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
    return None
