"""The command line. Every command works beside a running bridge.

Exit codes: 0 done, 1 something is wrong (config, store, a check, an unknown id), 2 the command's words are off.
"""

from __future__ import annotations

import click

from bridge.cli.authoring import new_plugin
from bridge.cli.commands import Commands
from bridge.cli.kept import attempts, calls, deliveries, events, prune, quarantine, replay
from bridge.cli.people import export, forget
from bridge.cli.plugged import connectors, plugins, whois
from bridge.cli.safekeeping import backup, copy, migrate, restore
from bridge.cli.serving import check, init, serve
from bridge.cli.trying import simulate


@click.group(
    cls=Commands,
    commands=[
        *(serve, init, check),
        *(events, calls, deliveries, attempts, quarantine, replay, prune),
        *(backup, restore, migrate, copy, forget, export),
        *(plugins, connectors, whois, simulate, new_plugin),
    ],
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="callbridge")
def main() -> None:
    """The bridge between a telephone exchange and the programs people work in."""
