"""What the three targets have in common."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from callbridge_spreadsheet.columns import Row


class Sheet(Protocol):
    """Where rows are written. It is called by one thread at a time."""

    def place(self, at: datetime) -> str:
        """Where the row of a call that began then belongs: what belongs together is added together."""

    def add(self, place: str, rows: Sequence[Row]) -> None:
        """Write the rows that are not there yet, all or none of them. Raises a `DeliveryFailure`."""

    def check(self, place: str) -> str:
        """Say for people whether rows can be written there, without writing any. Raises a `DeliveryFailure`."""
