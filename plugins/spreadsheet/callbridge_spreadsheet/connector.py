"""The connector: one row for each call, when it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bridge import (
    ENDINGS,
    CallData,
    ConnectorContext,
    Delivery,
    DeliveryFailure,
    Outcome,
    Receipt,
    Skip,
    hookimpl,
)
from callbridge_spreadsheet.columns import Row, row, with_id
from callbridge_spreadsheet.known import Owners
from callbridge_spreadsheet.settings import SpreadsheetSettings
from callbridge_spreadsheet.sheets import Sheet


class Spreadsheet:
    """Writes what waits together as one batch. Not to be called from several threads at once."""

    def __init__(self, settings: SpreadsheetSettings, context: ConnectorContext) -> None:
        self._columns = with_id(settings.columns)
        self._locale = context.locale
        self._owners = Owners()
        self._sheet = _sheet(settings, self._columns, self._owners, context)

    @hookimpl
    def bridge_deliver(self, batch: Sequence[Delivery]) -> Sequence[Outcome]:
        """Write the rows of the calls that have ended; one that stands there already is left as it is."""
        outcomes: dict[int, Outcome] = {}
        together: dict[str, list[tuple[int, Row]]] = {}
        for number, delivery in enumerate(batch):
            event = delivery.event
            if event.type not in ENDINGS or not isinstance(event.data, CallData):
                outcomes[number] = Skip("no call has ended")
                continue
            cells = row(event, event.data, self._columns, self._locale)
            try:
                together.setdefault(self._sheet.place(cells.at), []).append((number, cells))
            except DeliveryFailure as failure:
                outcomes[number] = failure
        for place, members in together.items():
            outcome = self._add(place, [cells for _, cells in members])
            outcomes |= dict.fromkeys((number for number, _ in members), outcome)
        return [outcomes[number] for number in range(len(batch))]

    @hookimpl
    def bridge_check(self) -> str:
        """Open the file of this month, or the Google spreadsheet; write nothing."""
        return self._sheet.check(self._sheet.place(datetime.now().astimezone()))

    def _add(self, place: str, rows: Sequence[Row]) -> Outcome:
        try:
            with self._owners.writing(place):
                self._sheet.add(place, rows)
        except DeliveryFailure as failure:
            return failure
        return Receipt(text=place)


def _sheet(settings: SpreadsheetSettings, columns: Sequence[str], owners: Owners, context: ConnectorContext) -> Sheet:
    # What is not configured is not imported: openpyxl and gspread are large.
    match settings.target:
        case "csv":
            from callbridge_spreadsheet.csvfile import CsvFile

            return CsvFile(settings.file, columns, context.locale, context.timeout / 2, owners)
        case "xlsx":
            from callbridge_spreadsheet.workbook import Workbook

            return Workbook(
                settings.file,
                settings.worksheet,
                columns,
                context.locale,
                context.timeout / 2,
                owners,
            )
        case "google":
            from callbridge_spreadsheet.google import GoogleSheet

            return GoogleSheet(settings, columns, context, owners)
