"""The command line. Every command works beside a running bridge.

Exit codes: 0 done, 1 something is wrong (config, store, a check, an unknown id), 2 the command's words are off.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from bridge.errors import BridgeError, SettingsError
from bridge.model import Locale
from bridge.redaction import RedactingFormatter, Redactor
from bridge.settings import FaultySettingsError, Settings, load_settings, parse_duration, secrets_of

F = TypeVar("F", bound=Callable[..., Any])


class _Duration(click.ParamType[float]):
    """A duration such as 24h, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Commands(click.Group):
    """Commands that say what is wrong in a line or a few, and exit 1, where they fail for a reason people can mend."""

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


_config = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The config file (else CALLBRIDGE_CONFIG, else config/bridge.toml).",
)
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
_limit = click.option("--limit", type=click.IntRange(min=1), help="Only the last N rows.")

TABLE_ROWS = 50
"""Rows a table shows where no --limit is given; --json shows all."""


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="callbridge")
def main() -> None:
    """The bridge between a telephone exchange and the programs people work in."""


# --- serving and the config ---------------------------------------------------------------------------------------


@main.command()
@_config
def serve(path: Path | None) -> None:
    """Take the PBX's posts and deliver the events."""
    from bridge import server

    settings = load_settings(path, os.environ)
    redactor = Redactor(secrets_of(settings))
    _set_up_logging(settings, redactor)
    server.check_address(settings.server)

    def make() -> tuple[Any, Any]:
        from bridge.app import Bridge, create_app

        bridge = Bridge(settings, redactor)
        return bridge, create_app(bridge)

    server.serve(settings.server, make)


@main.command()
@_config
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


@main.command()
@_config
@click.option("--online", is_flag=True, help="Also let each connector and directory test its credentials and target.")
def check(path: Path | None, online: bool) -> None:
    """Say everything that is wrong with the config; exit 1 if anything is."""
    from bridge.plugins import find_faults, load_plugins

    try:
        settings = load_settings(path, os.environ)
    except SettingsError as error:
        rest = error.rest if isinstance(error, FaultySettingsError) else None
        faults = [*error.faults, *(find_faults(rest) if rest else [])]
    else:
        faults = find_faults(settings)
    if faults:
        for fault in faults:
            click.echo(str(fault))
        sys.exit(1)
    click.echo("the config is fine")
    if online and not _check_online(load_plugins(settings)):
        sys.exit(1)


def _check_online(plugins: Any) -> bool:
    """Run the own check of each connector and directory; whether all passed."""
    redactor = Redactor(plugins.secrets)
    named = [("connectors", name) for name in plugins.connectors]
    named += [("directories", name) for name in plugins.directories]
    results = [(role, name, plugins.check(role, name)) for role, name in named]
    for role, name, (said, error) in results:
        click.echo(redactor.clean(f"{role}.{name}: {error or said or 'has no check of its own'}"), err=bool(error))
    return not any(error for *_, (_, error) in results)


# --- what is kept -------------------------------------------------------------------------------------------------


@main.command()
@_config
@_json
@_limit
def events(path: Path | None, as_json: bool, limit: int | None) -> None:
    """Every event that was kept."""
    from bridge.store import queries

    columns = ["data.received_at", "type", "data.call.caller.display", "data.call.called.display", "id"]
    with _reading(path) as connection:
        rows = queries.events(connection, limit=_rows(limit, as_json))
        _show(rows, columns, as_json, "no events yet")


@main.command()
@_config
@_json
@_limit
@click.option("--missed", is_flag=True, help="Only missed calls.")
@click.option("--since", type=_Duration(), help="Only calls of the last while, such as 24h.")
def calls(path: Path | None, as_json: bool, limit: int | None, missed: bool, since: float | None) -> None:
    """The calls, as they stand now."""
    from bridge.store import queries

    columns = ["started_at", "direction", "state", "caller.display", "called.display", "rang", "wait_seconds"]
    with _reading(path) as connection:
        rows = queries.calls(
            connection,
            state="missed" if missed else None,
            since=None if since is None else time.time() - since,
            limit=_rows(limit, as_json),
        )
        _show(rows, [*columns, "talk_seconds", "cause_text"], as_json, "no calls")


@main.command()
@_config
@_json
@_limit
@click.option("--state", type=click.Choice(["pending", "delivered", "expired", "dead", "skipped"]))
@click.option("--connector", help="Only of this connector.")
def deliveries(path: Path | None, as_json: bool, limit: int | None, state: str | None, connector: str | None) -> None:
    """What is owed to the connectors, and what became of it."""
    from bridge.store import queries

    columns = ["id", "event_type", "connector", "state", "attempts", "next_attempt_at", "last_error"]
    with _reading(path) as connection:
        rows = queries.deliveries(connection, state=state, connector=connector, limit=_rows(limit, as_json))
        _show(rows, [*columns, "receipt"], as_json, "no deliveries")


@main.command()
@_config
@_json
@_limit
@click.argument("delivery_id", required=False)
def attempts(path: Path | None, as_json: bool, limit: int | None, delivery_id: str | None) -> None:
    """Every try to deliver: when, how long it took, what came of it and what the other side answered."""
    from bridge.store import queries

    columns = ["started_at", "connector", "delivery_id", "number", "seconds", "outcome", "status", "error", "answer"]
    with _reading(path) as connection:
        rows = queries.attempts(connection, delivery_id=delivery_id, limit=_rows(limit, as_json))
        _show(rows, columns, as_json, "no attempts")


@main.command()
@_config
@_json
@_limit
def quarantine(path: Path | None, as_json: bool, limit: int | None) -> None:
    """Posts no event could be made of."""
    from bridge.store import queries

    with _reading(path) as connection:
        rows = queries.quarantine(connection, limit=_rows(limit, as_json))
        _show(rows, ["received_at", "reason", "raw"], as_json, "the quarantine is empty")


@main.command()
@_config
@click.argument("ids", nargs=-1)
@click.option("--dead", is_flag=True, help="Every dead delivery.")
@click.option("--connector", help="With --dead: only of this connector.")
def replay(path: Path | None, ids: tuple[str, ...], dead: bool, connector: str | None) -> None:
    """Deliver again: deliveries by their id (or all of an event, by its id), or every dead one."""
    from bridge.store import replay as replaying

    if bool(ids) == dead or (connector and not dead):
        raise click.UsageError("name ids, or say --dead (with --connector for one connector)")
    with _writing(path) as connection:
        if ids:
            known = replaying.known_ids(connection, ids)
            unknown = [one for one in ids if one not in known]
            if unknown:
                raise BridgeError(f"there is no such delivery or event: {', '.join(unknown)}; nothing is replayed")
            replayed = replaying.replay_ids(connection, ids, time.time())
        else:
            replayed = replaying.replay_dead(connection, connector, time.time())
    click.echo(f"{len(replayed)} to be delivered again")


@main.command()
@_config
@click.option("--older-than", type=_Duration(), required=True, help="Such as 90d.")
def prune(path: Path | None, older_than: float) -> None:
    """Forget what is older: events, calls, finished deliveries, the quarantine. What still waits stays."""
    from bridge.store.pruning import prune_some

    before = time.time() - older_than
    totals: dict[str, int] = {}
    while True:
        with _writing(path) as connection:  # a transaction a chunk, so that the running bridge hardly waits
            counts = prune_some(connection, before)
        totals = {table: totals.get(table, 0) + count for table, count in counts.items()}
        if not any(counts.values()):
            break
    click.echo(", ".join(f"{count} {table}" for table, count in totals.items()) + " forgotten")


# --- who is calling -----------------------------------------------------------------------------------------------


@main.command()
@_config
@_json
@click.argument("number")
def whois(path: Path | None, as_json: bool, number: str) -> None:
    """Ask every directory who has a number: what it says, how fast, and where it has that from.

    Exit code 1 where a directory cannot say.
    """
    from bridge.whois import ask_directories

    rows = list(ask_directories(load_settings(path, os.environ), number))
    columns = ["directory", "kind", "state", "milliseconds", "name", "company", "id", "note", "where", "error"]
    _show(iter(rows), columns, as_json, "no directories")
    if any(row["error"] for row in rows):
        sys.exit(1)


# --- plugins and connectors ---------------------------------------------------------------------------------------


@main.command()
@_config
@_json
def plugins(path: Path | None, as_json: bool) -> None:
    """The installed plugins, imported or not."""
    from bridge.monitoring import contradiction_warnings
    from bridge.plugins import describe_installed, examine_plugins
    from bridge.store import queries

    columns = ["name", "role", "distribution", "version", "state", "error"]
    _show(iter(describe_installed(examine_plugins(load_settings(path, os.environ)))), columns, as_json, "none")
    with _reading(path) as connection:
        for warning in contradiction_warnings(queries.sources(connection)):
            click.echo(f"warning: {warning}", err=True)


@main.group(invoke_without_command=True)
@_config
@_json
@click.pass_context
def connectors(ctx: click.Context, path: Path | None, as_json: bool) -> None:
    """The connectors and how they do; with a subcommand: pause or resume one."""
    if ctx.invoked_subcommand is not None:
        ctx.default_map = {ctx.invoked_subcommand: {"path": path}}
        return
    from bridge.connectors import describe_connectors
    from bridge.plugins import examine_plugins

    loaded = examine_plugins(load_settings(path, os.environ))
    with _reading(path) as connection:
        rows = describe_connectors(connection, loaded.connectors, time.time())
    columns = ["name", "kind", "state", "error", "waiting", "dead", "last_success"]
    _show(iter(rows), columns, as_json, "no connectors")


@connectors.command()
@_config
@click.argument("name")
def pause(path: Path | None, name: str) -> None:
    """Deliver nothing to a connector until it is resumed; what is owed to it waits."""
    from bridge.health import Health

    _change_health(path, name, Health.pause)
    click.echo(f"{name} is paused")


@connectors.command()
@_config
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
    with _writing(path) as connection:
        prepare(connection, (), (name,))
        change_health(connection, [(name, change)])


# --- trying it out ------------------------------------------------------------------------------------------------


@main.command()
@_config
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


# --- common -------------------------------------------------------------------------------------------------------


@contextmanager
def _reading(path: Path | None) -> Iterator[Any]:
    with _database(path) as database, _one_line_errors(), database.reader.begin() as connection:
        yield connection


@contextmanager
def _writing(path: Path | None) -> Iterator[Any]:
    with _database(path) as database, _one_line_errors(), database.writer.begin() as connection:
        yield connection


@contextmanager
def _database(path: Path | None) -> Iterator[Any]:
    from bridge.store import Database

    database = Database(load_settings(path, os.environ).store.url)
    try:
        database.migrate()
        yield database
    finally:
        database.close()


@contextmanager
def _one_line_errors() -> Iterator[None]:
    from sqlalchemy.exc import SQLAlchemyError

    from bridge.store.database import store_error

    try:
        yield
    except SQLAlchemyError as error:
        raise store_error(error) from error


def _rows(limit: int | None, as_json: bool) -> int | None:
    return limit if limit is not None or as_json else TABLE_ROWS


def _show(rows: Iterator[Any], columns: list[str], as_json: bool, empty: str) -> None:
    from bridge.tables import print_json, print_table

    if as_json:
        print_json(rows, sys.stdout)
    else:
        print_table(rows, columns, sys.stdout, empty)


def _set_up_logging(settings: Settings, redactor: Redactor) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        RedactingFormatter(redactor, logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log.level.upper())
    # urllib3 and others write URLs at debug level: the bridge's own words are enough.
    for chatty in ("urllib3", "alembic", "granian", "_granian"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


if __name__ == "__main__":
    main()
