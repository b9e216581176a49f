"""Rows for people (a table) or for programs (one JSON object a line). What callers control is shown as plain text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_json(rows: Iterable[Mapping[str, Any]], out: TextIO) -> None:
    """One JSON object a line, as they come."""
    for row in rows:
        out.write(json.dumps(row, ensure_ascii=False) + "\n")


def print_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], out: TextIO, empty: str) -> None:
    """A table of the named columns; dots in a name lead into a row (`caller.display`).

    On a terminal long texts are cut to its width, but never ids, which people copy; elsewhere nothing is cut.
    """
    listed = list(rows)
    console = Console(file=out, highlight=False, markup=False, width=None if out.isatty() else 1000)
    if not listed:
        console.print(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        widest = max(len(_cell(row, column)) for row in listed) if column.endswith("id") else None
        heading = column.removesuffix(".display").rpartition(".")[2].replace("_", " ")
        table.add_column(heading, no_wrap=True, overflow="ellipsis", min_width=widest)
    for row in listed:
        table.add_row(*(Text(_cell(row, column)) for column in columns))
    console.print(table)


def _cell(row: Mapping[str, Any], column: str) -> str:
    value: Any = row
    for part in column.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if value is None:
        return ""
    if column.endswith("_at"):
        return datetime.fromisoformat(value).strftime("%Y-%m-%d %H:%M:%S")
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    # A name could hold terminal control sequences; a note has several lines.
    return character if character.isprintable() else " " if character.isspace() else "�"
