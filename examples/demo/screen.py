"""What the demo shows. What callers control is printed as plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any

from channel import Message
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bridge.testing import Answer

NARROWEST = 110
"""Columns the tables need where the output is no terminal."""

STYLES = {"missed": "bold red", "unanswered": "yellow", "completed": "green", "delivered": "green"}

Row = dict[str, Any]


class Screen:
    """A terminal, or a file of plain text."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False)
        if not self._console.is_terminal:
            self._console.width = max(self._console.width, NARROWEST)

    def step(self, text: str) -> None:
        """A new part of the story."""
        self._console.print(Text(f"\n▶ {text}", style="bold"))

    def say(self, text: str) -> None:
        """A line, never broken: it may be meant for copying."""
        self._console.print(f"  {text}", soft_wrap=True)

    def fail(self, text: str) -> None:
        """What went wrong."""
        self._console.print(Text(f"\n✗ {text}", style="bold red"), soft_wrap=True)

    def channel(self, item: Message | Answer) -> None:
        """What happens in the chat channel: a message, or a refusal."""
        if isinstance(item, Answer):
            wait = item.headers["Retry-After"]
            refusal = f"  ✗ the channel refuses: {item.status} {HTTPStatus(item.status).phrase}, try again in {wait} s"
            self._console.print(Text(refusal, style="yellow"))
            return
        lines = Table.grid(padding=(0, 2))
        for label, value in item.lines:
            lines.add_row(Text(label, style="dim"), Text(value))
        self._console.print(Panel(lines, title=Text(f"# missed-calls · {item.title}"), title_align="left", width=64))

    def calls(self, calls: Sequence[Row]) -> None:
        """Every call, with what became of it."""
        table = _table("started", "direction", "caller", "called", "rang", "state", "waited")
        for call in calls:
            started = datetime.fromisoformat(call["started_at"]).strftime("%d.%m.%Y %H:%M")
            parties = call["caller"]["display"], call["called"]["display"], ", ".join(call["rang"])
            table.add_row(
                *(started, call["direction"], *map(Text, parties)),
                Text(call["state"], style=STYLES.get(call["state"], "")),
                f"{call['wait_seconds']} s",
            )
        self._console.print(table)

    def deliveries(self, deliveries: Sequence[Row]) -> None:
        """The deliveries, alike ones counted."""
        alike = Counter((row["connector"], row["event_type"], row["state"], row["attempts"]) for row in deliveries)
        table = _table("connector", "event", "state", "attempts", "deliveries")
        for (connector, event, state, attempts), count in sorted(alike.items(), reverse=True):
            tries = Text(str(attempts), style="bold yellow" if attempts > 1 else "")
            table.add_row(connector, event, Text(state, style=STYLES.get(state, "bold red")), tries, str(count))
        self._console.print(table)

    def spreadsheet(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """The rows as Excel would show them, but for the column that tells calls apart."""
        table = _table(*header[:-1])
        for row in rows:
            table.add_row(*map(Text, row[:-1]))
        self._console.print(table)

    def your_turn(self, *lines: str) -> None:
        """What to try next."""
        self.step("Your turn (Ctrl-C ends the demo)")
        self._console.print(Group(*(Text(f"  {line}") for line in lines)), soft_wrap=True)


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, header_style="bold", padding=(0, 1))
