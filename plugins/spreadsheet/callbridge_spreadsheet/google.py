"""A Google spreadsheet, written by a service account.

What stands there is asked for every time, as people sort, move and delete rows; what is added goes in one request, so
that it is all there or nothing of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from itertools import zip_longest
from typing import Any

import gspread
import requests
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2.service_account import Credentials
from gspread.exceptions import APIError
from gspread.http_client import HTTPClient
from gspread.utils import rowcol_to_a1

from bridge import ConnectorContext, DeliveryFailure, Misconfigured, TemporaryFailure
from callbridge_spreadsheet.columns import Row, Value
from callbridge_spreadsheet.harmless import text
from callbridge_spreadsheet.known import Owners, Rows
from callbridge_spreadsheet.layout import Layout, arrange
from callbridge_spreadsheet.settings import SpreadsheetSettings
from callbridge_spreadsheet.transport import Transport

GOOGLE = "https://sheets.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/spreadsheets"
QUOTA = 60.0
"""Seconds after which a used up quota is there again; Google seldom says so itself."""
BEGINNING = date(1899, 12, 30)
"""The day 0 of every spreadsheet."""

Change = Mapping[str, Any]


class GoogleSheet:
    """Appends to one worksheet."""

    def __init__(
        self, settings: SpreadsheetSettings, columns: Sequence[str], context: ConnectorContext, owners: Owners
    ) -> None:
        self._settings = settings
        self._columns = columns
        self._owners = owners
        self._locale = context.locale
        self._timeout = context.timeout
        self._transport = Transport(context.http)
        self._http: _Client | None = None

    def place(self, _at: datetime) -> str:
        """The spreadsheet, the same for all calls."""
        return self._settings.spreadsheet or ""

    def add(self, _place: str, rows: Sequence[Row]) -> None:
        """Append the rows that are not there yet."""
        with self._explained():
            sheet = self._open()
            layout = self._layout(sheet)
            new = layout.unknown(rows, self._known(sheet, layout), self._owners, text)
            if new:
                values = [{"values": layout.line(row, _cell)} for row in new]
                fields = "userEnteredValue,userEnteredFormat.numberFormat"
                append = {"appendCells": {"sheetId": sheet.id, "rows": values, "fields": fields}}
                sheet.spreadsheet.batch_update({"requests": [*_header(sheet, layout), append]})

    def check(self, _place: str) -> str:
        """Open the worksheet and read what stands there."""
        with self._explained():
            sheet = self._open()
            count = len(self._known(sheet, self._layout(sheet)))
            return f'"{sheet.title}" of the spreadsheet "{sheet.spreadsheet.title}" has {count} calls'

    def _open(self) -> gspread.Worksheet:
        if self._http is None:
            self._http = _Client(self._settings, self._transport)
        self._transport.deadline = time.monotonic() + self._timeout
        named = self._settings.spreadsheet or ""
        key = gspread.utils.extract_id_from_url(named) if "://" in named else named
        spreadsheet = gspread.Spreadsheet(self._http, {"id": key})
        if self._settings.worksheet is None:
            return spreadsheet.get_worksheet(0)
        return spreadsheet.worksheet(self._settings.worksheet)

    def _layout(self, sheet: gspread.Worksheet) -> Layout:
        # Not `row_values`: it takes an answer it does not understand for an empty row, which would be written over.
        (rows,) = sheet.batch_get(["1:1"])
        return arrange(next(iter(rows), []), self._columns, self._locale, f'the worksheet "{sheet.title}"')

    def _known(self, sheet: gspread.Worksheet, layout: Layout) -> Rows:
        """The calls that have their row, wherever it stands by now."""
        read = layout.width - len(layout.missing)
        if max(layout.identifying) >= read:
            return Rows()
        places = [place for place in layout.reading if place < read]
        names = [rowcol_to_a1(1, place + 1).rstrip("1") for place in places]
        columns = sheet.batch_get([f"{name}2:{name}" for name in names])
        cells = zip_longest(*([next(iter(row), "") for row in column] for column in columns), fillvalue="")
        found = (dict(zip(places, row, strict=True)) for row in cells)
        return layout.read([row.get(place) for place in range(read)] for row in found)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say what a fault of Google's means for the rows."""
        try:
            yield
        except APIError as error:
            raise self._sorted(error) from error
        except gspread.WorksheetNotFound as error:
            raise Misconfigured(f"the spreadsheet has no worksheet {error}: mend `worksheet`") from error
        except gspread.NoValidUrlKeyFound as error:
            raise Misconfigured("`spreadsheet` is no URL of a Google spreadsheet, nor the id of one") from error
        except GoogleAuthError as error:
            raise _refused(error) from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            # Failure policy: gspread trusts what an answer looks like. The next try finds the rows, or writes them.
            raise TemporaryFailure("Google gave an answer that cannot be understood") from error

    def _sorted(self, error: APIError) -> DeliveryFailure:
        status, answer = error.response.status_code, str(error.error.get("message", ""))
        record: dict[str, Any] = {"status": status, "answer": answer}
        if status == 429 or error.error.get("status") == "RESOURCE_EXHAUSTED":
            wait = error.response.headers.get("Retry-After", "")
            seconds = float(wait) if wait.isascii() and wait.isdigit() else QUOTA
            return TemporaryFailure("Google's quota is used up for the moment", retry_after=seconds, **record)
        if status >= 500 or status == 408:
            return TemporaryFailure(f"Google cannot take the rows now (HTTP {status})", **record)
        account = self._http.account if self._http else ""
        advice = {
            401: "Google does not accept the key: make a new one for the service account, name it in `credentials`",
            403: f"share the spreadsheet with {account} as an editor, and enable the Google Sheets API in its project",
            404: "there is no such spreadsheet: mend `spreadsheet`",
        }.get(status, f"Google does not take the rows (HTTP {status}): {answer}")
        return Misconfigured(advice, **record)


class _Client(HTTPClient):
    """gspread's client, signed in as a service account."""

    def __init__(self, settings: SpreadsheetSettings, transport: Transport) -> None:
        try:
            credentials = Credentials.from_service_account_file(  # type: ignore[no-untyped-call]  # google-auth's
                str(settings.credentials), scopes=[SCOPE]
            )
        except (OSError, ValueError, GoogleAuthError) as error:
            # What is wrong is not shown: it may quote the key.
            raise Misconfigured(f"{settings.credentials} is no key of a service account: make a new one") from error
        sign_in = requests.Session()
        session = AuthorizedSession(credentials, auth_request=Request(sign_in))  # type: ignore[no-untyped-call]  # its
        for one in (sign_in, session):
            one.trust_env = False
            one.mount("http://", transport)
            one.mount("https://", transport)
        super().__init__(credentials, session)
        self.account: str = credentials.service_account_email
        self._api = settings.api_url.get_secret_value().rstrip("/")

    def request(self, method: str, endpoint: str, *arguments: Any, **options: Any) -> requests.Response:
        """Send a request to where the API is."""
        return super().request(method, self._api + endpoint.removeprefix(GOOGLE), *arguments, **options)


def _refused(error: GoogleAuthError) -> DeliveryFailure:
    if error.retryable:
        return TemporaryFailure(f"Google gives no token now ({type(error).__name__})")
    return Misconfigured("Google does not accept the service account: make a new key, name it in `credentials`")


def _header(sheet: gspread.Worksheet, layout: Layout) -> list[Change]:
    """What adds the headings that are missing; a new sheet's header stays in sight."""
    if not layout.missing:
        return []
    first = layout.width - len(layout.missing)
    bold = {"textFormat": {"bold": True}}
    cells = [{"userEnteredValue": {"stringValue": heading}, "userEnteredFormat": bold} for heading in layout.missing]
    start = {"sheetId": sheet.id, "rowIndex": 0, "columnIndex": first}
    fields = "userEnteredValue,userEnteredFormat.textFormat.bold"
    requests: list[Change] = [{"updateCells": {"start": start, "rows": [{"values": cells}], "fields": fields}}]
    if (more := layout.width - sheet.col_count) > 0:
        requests.insert(0, {"appendDimension": {"sheetId": sheet.id, "dimension": "COLUMNS", "length": more}})
    if first == 0:
        frozen = {"sheetId": sheet.id, "gridProperties": {"frozenRowCount": 1}}
        requests.append({"updateSheetProperties": {"properties": frozen, "fields": "gridProperties.frozenRowCount"}})
    return requests


def _cell(value: Value) -> Change:
    """A cell: a text is one whatever it begins with, a date is a date, and what took time can be added up."""
    match value:
        case None:
            return {}
        case str():
            return {"userEnteredValue": {"stringValue": value}}
        case timedelta():
            return _number(value / timedelta(days=1), "TIME", "[h]:mm:ss")
        case clock_time():
            seconds = timedelta(hours=value.hour, minutes=value.minute, seconds=value.second)
            return _number(seconds / timedelta(days=1), "TIME", "hh:mm:ss")
        case date():
            return _number((value - BEGINNING).days, "DATE", "yyyy-mm-dd")


def _number(number: float, kind: str, pattern: str) -> Change:
    return {
        "userEnteredValue": {"numberValue": number},
        "userEnteredFormat": {"numberFormat": {"type": kind, "pattern": pattern}},
    }
