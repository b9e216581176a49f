"""What the commands share: options, the store, the log, rows for people or for programs."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from bridge.redaction import RedactingFormatter, Redactor
from bridge.settings import Settings, load_settings, parse_duration

if TYPE_CHECKING:
    from bridge.plugins import Plugins


class Duration(click.ParamType[float]):
    """A duration such as 24h, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


config_option = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The config file (else CALLBRIDGE_CONFIG, else config/bridge.toml).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
limit_option = click.option("--limit", type=click.IntRange(min=1), help="Only the last N rows.")

TABLE_ROWS = 50
"""Rows a table shows where no --limit is given; --json shows all."""


@contextmanager
def loaded_plugins(settings: Settings) -> Iterator[Plugins]:
    """The plugins of the config, with the services a connector gets in a running bridge. Nothing is started."""
    from bridge.contacts import Directories
    from bridge.plugins import examine_plugins
    from bridge.services import Services
    from bridge.store.feeds import Beside, Feeds, StoreHistory

    store = Beside(settings.store.url.get_secret_value())
    try:
        directories = Directories(())
        plugins = examine_plugins(settings, Services(StoreHistory(store), Feeds(store).of, directories))
        directories.use(plugins)
        yield plugins
    finally:
        store.close()


@contextmanager
def reading(path: Path | None) -> Iterator[Any]:
    with _database(path) as database, _one_line_errors(), database.reader.begin() as connection:
        yield connection


@contextmanager
def writing(path: Path | None) -> Iterator[Any]:
    with _database(path) as database, _one_line_errors(), database.writer.begin() as connection:
        yield connection


def scrub(path: Path | None) -> str | None:
    """Overwrite what was erased; returns where some of it may still stand, for people."""
    with _database(path) as database, _one_line_errors():
        return cast("str | None", database.scrub())


@contextmanager
def _database(path: Path | None) -> Iterator[Any]:
    from bridge.store import Database

    database = Database(load_settings(path, os.environ).store.url.get_secret_value())
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


def set_up_logging(level: int | str, redactor: Redactor, also: Callable[[str], str] = str) -> None:
    """Log to standard error, without secrets; `also` cleans each line of what is no secret."""
    handler = logging.StreamHandler(sys.stderr)
    line = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(RedactingFormatter(redactor, line, also))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # urllib3 and others write URLs at debug level: the bridge's own words are enough.
    for chatty in ("urllib3", "alembic", "granian", "_granian"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def row_limit(limit: int | None, as_json: bool) -> int | None:
    return limit if limit is not None or as_json else TABLE_ROWS


def show(rows: Iterator[Any], columns: list[str], as_json: bool, empty: str) -> None:
    from bridge.tables import print_json, print_table

    if as_json:
        print_json(rows, sys.stdout)
    else:
        print_table(rows, columns, sys.stdout, empty)
