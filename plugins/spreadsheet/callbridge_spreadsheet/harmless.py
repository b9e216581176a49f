"""Cells as text that no spreadsheet takes for a formula, whatever a caller put into it. Pure."""

from __future__ import annotations

import re
from datetime import date, time, timedelta

from callbridge_spreadsheet.columns import Value

FORMULA = "=+\\-@＝＋－＠"
"""What a formula begins with (OWASP's list, and the full-width forms); tab, CR and LF are gone from every text."""
_BEGINS_A_FORMULA = re.compile(rf"((?:^|[,;|\t])[\s\"']*)(?=[{FORMULA}])")


def text(value: Value) -> str:
    """A cell as text: 2026-11-24, 09:05:00, and 0:02:05 for a duration."""
    if isinstance(value, timedelta):
        minutes, seconds = divmod(int(value.total_seconds()), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    return value.isoformat() if isinstance(value, date | time) else value or ""


def csv_text(value: Value) -> str:
    """The same for a CSV file, where only the text decides: an apostrophe goes before what would begin a formula.

    Also after what another program might take for the end of a cell: nobody knows by which delimiter it reads.
    """
    return _BEGINS_A_FORMULA.sub(r"\1'", text(value))
