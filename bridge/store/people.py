"""What is kept of one person, who is known by a telephone number: found, shown, erased.

A number is looked for in every text of every table, however it is written there, also in tables that were added later.
A call is the person's as a whole: with all its events, deliveries and attempts. In what belongs to others (an answer of
a destination about several calls, the last error of a connector) the number alone is blacked out.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from sqlalchemy import ColumnElement, Connection, Table, Text, delete, select, tuple_, update

from bridge.phone import written_forms
from bridge.store import schema
from bridge.store.dialects import dialect_of

BLACKED_OUT = "***"
_MOST_KEYS = 500

_calls, _events, _deliveries, _attempts = schema.calls, schema.events, schema.deliveries, schema.attempts
_OF_CALLS = (_calls, _events, _deliveries, _attempts)
_OF_OTHERS: Mapping[Table, Sequence[str]] = {
    _deliveries: ("last_error", "receipt", "contact"),
    _attempts: ("error", "answer"),
    schema.connectors: ("health",),
}
"""Texts in which a number may stand beside what is somebody else's."""
_NOBODYS = (schema.sources, schema.heartbeat, schema.turns)

Keys = set[Any]


@dataclass(slots=True)
class Traces:
    """What was found: the keys of the rows that are the person's, and of the rows that only mention the number."""

    number: str
    own: dict[Table, Keys] = field(default_factory=dict)
    mentions: dict[Table, Keys] = field(default_factory=dict)


def find_traces(connection: Connection, number: str) -> Traces:
    """Everything that is kept of a number (E.164). It goes through the whole store."""
    look = _Look(number)
    traces = Traces(number)
    calls = look.through(connection, _calls)
    events = look.through(connection, _events)
    calls |= _column(connection, _events.c.call_key, _events.c.id, events) - {None}
    events |= _column(connection, _events.c.id, _events.c.call_key, calls)
    deliveries = _column(connection, _deliveries.c.id, _deliveries.c.event_id, events)
    attempts = _column(connection, _attempts.c.id, _attempts.c.delivery_id, deliveries)
    traces.own = {_calls: calls, _events: events, _deliveries: deliveries, _attempts: attempts}
    for table in schema.metadata.sorted_tables:
        if table not in (*_OF_CALLS, *_OF_OTHERS, *_NOBODYS):
            traces.own[table] = look.through(connection, table)
    for table, columns in _OF_OTHERS.items():
        traces.mentions[table] = look.through(connection, table, columns) - traces.own.get(table, set())
    return traces


def erase(connection: Connection, traces: Traces) -> dict[str, int]:
    """Delete the person's rows, and black out the number elsewhere; returns how many rows of each table.

    Rows that have come to the person's calls since they were found go with them.
    """
    dialect_of(connection).lock_calls(connection, traces.own[_calls])
    events = _column(connection, _events.c.id, _events.c.call_key, traces.own[_calls]) | traces.own[_events]
    deliveries = _column(connection, _deliveries.c.id, _deliveries.c.event_id, events)
    attempts = _column(connection, _attempts.c.id, _attempts.c.delivery_id, deliveries)
    doomed = traces.own | {_events: events, _deliveries: deliveries, _attempts: attempts}
    counts = {table.name: _delete(connection, table, keys) for table, keys in doomed.items()}
    form = written_forms(traces.number)
    for table, keys in traces.mentions.items():
        for row in _rows(connection, table, keys):
            texts = {name: form.sub(BLACKED_OUT, row[name]) for name in _OF_OTHERS[table] if row[name]}
            is_row = [column == row[column.name] for column in table.primary_key]
            connection.execute(update(table).where(*is_row).values(texts))
        if keys:
            counts[f"{table.name} blacked out"] = len(keys)
    return counts


def delivered_to(connection: Connection, traces: Traces) -> list[str]:
    """The connectors to which something of the person went: what they keep is out of the bridge's reach."""
    sent = [row for row in _rows(connection, _deliveries, traces.own[_deliveries]) if row["state"] == "delivered"]
    return sorted({row["connector"] for row in sent})


def export(connection: Connection, traces: Traces) -> Iterator[dict[str, Any]]:
    """Every row that is the person's or mentions the number: its table as `kind`, then its columns; JSON is read."""
    for found in (traces.own, traces.mentions):
        for table, keys in found.items():
            for row in _rows(connection, table, keys):
                yield {"kind": table.name, **{name: _read(value) for name, value in row.items()}}


class _Look:
    """Looks for a number in the texts of tables."""

    def __init__(self, number: str) -> None:
        self._form = written_forms(number)

    def through(self, connection: Connection, table: Table, names: Sequence[str] | None = None) -> Keys:
        """The keys of the rows that mention the number in one of the columns (None: in any text)."""
        columns = [column for column in table.columns if isinstance(column.type, Text)]
        looked_at = [column for column in columns if names is None or column.name in names]
        key = [*table.primary_key]
        query = select(*key, *(column.label(None) for column in looked_at))
        rows = connection.execution_options(yield_per=500).execute(query)
        mentioning = (row for row in rows if any(text and self._mentions(text) for text in row[len(key) :]))
        return {row[0] if len(key) == 1 else tuple(row[: len(key)]) for row in mentioning}

    def _mentions(self, text: str) -> bool:
        if self._form.search(text):
            return True
        if "\\u" in text:  # JSON that hides what is no ASCII, such as a no-break blank
            text = re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), text)
        return bool(self._form.search(unquote_plus(text)))


def _are_in(table: Table, keys: Sequence[Any]) -> ColumnElement[bool]:
    """Whether a row has one of the keys: values, or tuples of them where the key has several columns."""
    first, *rest = table.primary_key
    return tuple_(first, *rest).in_(keys) if rest else first.in_(keys)


def _chunks(keys: Keys) -> Iterator[Sequence[Any]]:
    ordered = sorted(keys)
    for start in range(0, len(ordered), _MOST_KEYS):
        yield ordered[start : start + _MOST_KEYS]


def _column(connection: Connection, wanted: ColumnElement[Any], by: ColumnElement[Any], keys: Keys) -> Keys:
    return {
        value for chunk in _chunks(keys) for value in connection.execute(select(wanted).where(by.in_(chunk))).scalars()
    }


def _rows(connection: Connection, table: Table, keys: Keys) -> Iterator[Mapping[str, Any]]:
    for chunk in _chunks(keys):
        query = select(table).where(_are_in(table, chunk)).order_by(*table.primary_key)
        yield from map(dict, connection.execute(query).mappings())


def _delete(connection: Connection, table: Table, keys: Keys) -> int:
    return sum(connection.execute(delete(table).where(_are_in(table, chunk))).rowcount for chunk in _chunks(keys))


def _read(value: Any) -> Any:
    """A column as it means: what is stored as a JSON object is one."""
    if isinstance(value, str) and value.startswith("{"):
        with contextlib.suppress(ValueError):
            return json.loads(value)
    return value
