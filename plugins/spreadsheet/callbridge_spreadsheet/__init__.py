"""The spreadsheet connector of callbridge: one row for every call that has ended."""

from __future__ import annotations

from collections.abc import Iterable

from bridge import ConnectorKind, hookimpl
from callbridge_spreadsheet.connector import Spreadsheet
from callbridge_spreadsheet.settings import SpreadsheetSettings

DAY = 24 * 3600.0


@hookimpl
def bridge_connectors() -> Iterable[ConnectorKind]:
    """The kind `spreadsheet`. A row is late rather than lost: a workbook may stay open in Excel over the holidays."""
    return [
        ConnectorKind(
            name="spreadsheet",
            create=Spreadsheet,
            settings=SpreadsheetSettings,
            max_batch=2000,
            threadsafe=False,
            idempotent=True,
            wants_contact=True,
            max_age=30 * DAY,
            timeout=60.0,
            rate=lambda settings: settings.rate,
            retry_schedule=(5, 30, 120, 300, *[600] * 1000),
        )
    ]
