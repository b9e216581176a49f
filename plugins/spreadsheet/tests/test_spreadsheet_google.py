"""A Google spreadsheet, spoken to by gspread over HTTP; a stand-in answers as Google's API is documented."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import callbridge_spreadsheet
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from openpyxl.utils import column_index_from_string

from bridge import Delivery, DeliveryFailure, Event, Misconfigured, Receipt, TemporaryFailure
from bridge.testing import Answer, Arrival, ConnectorContract, Place, RecordingSink, recording_sink

Ended = Callable[..., Delivery]
Connect = Callable[..., Any]
Failure = type[DeliveryFailure]

SPREADSHEET = "1aBcD_eF-gH"


class Google:
    """One spreadsheet with one worksheet: its cells as Google keeps them, `values` as it shows them."""

    def __init__(self, sink: RecordingSink) -> None:
        self.cells: list[list[dict[str, Any]]] = []
        self.columns = 10
        self.frozen = 0
        self.failure: Answer | None = None
        self.sink = sink
        sink.answer_with(self._answer)

    @property
    def values(self) -> list[list[Any]]:
        return [[next(iter(cell.get("userEnteredValue", {}).values()), "") for cell in row] for row in self.cells]

    def type_in(self, *rows: list[str]) -> None:
        """What somebody has typed into the sheet."""
        self.cells = [[{"userEnteredValue": {"stringValue": text}} if text else {} for text in row] for row in rows]

    def requests(self, method: str) -> list[Arrival]:
        return [one for one in self.sink.arrivals if one.method == method and not one.path.startswith("/token")]

    def _answer(self, arrival: Arrival) -> Answer:
        path = unquote(urlsplit(arrival.path).path)
        if path == "/token":
            return self._json({"access_token": "ya29.SECRET", "expires_in": 3600, "token_type": "Bearer"})
        if self.failure is not None:
            return self.failure
        assert arrival.headers["authorization"] == "Bearer ya29.SECRET"
        if not path.startswith(f"/v4/spreadsheets/{SPREADSHEET}"):
            return google_error(404, "NOT_FOUND")
        if path.endswith(":batchUpdate"):
            for request in arrival.json()["requests"]:
                ((kind, details),) = request.items()
                getattr(self, kind)(details)
            return self._json({"replies": []})
        if path.endswith("/values:batchGet"):
            ranges = parse_qs(urlsplit(arrival.path).query)["ranges"]
            return self._json({"valueRanges": [self._range(one) for one in ranges]})
        grid = {"rowCount": 1000, "columnCount": self.columns}
        sheet = {"properties": {"sheetId": 7, "title": "Calls", "index": 0, "gridProperties": grid}}
        return self._json({"properties": {"title": "Call log"}, "sheets": [sheet]})

    def _range(self, name: str) -> dict[str, Any]:
        values = self.values[:1] if name == "'Calls'!1:1" else self._column(name)
        return {"range": name, "majorDimension": "ROWS", **({"values": values} if values else {})}

    def _column(self, name: str) -> list[list[Any]]:
        match = re.fullmatch(r"'Calls'!([A-Z]+)2:\1", name)
        assert match, name
        place = column_index_from_string(match[1]) - 1
        assert place < self.columns, "the range exceeds the grid"
        return [row[place : place + 1] for row in self.values[1:]]

    def _json(self, body: object) -> Answer:
        return Answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def updateCells(self, details: dict[str, Any]) -> None:  # noqa: N802  # Google's names
        first, (row,) = details["start"]["columnIndex"], details["rows"]
        assert first + len(row["values"]) <= self.columns, "the range exceeds the grid"
        self.cells = self.cells or [[]]
        self.cells[0] = self.cells[0][:first] + [{}] * (first - len(self.cells[0])) + row["values"]

    def appendCells(self, details: dict[str, Any]) -> None:  # noqa: N802
        self.cells += [row["values"] for row in details["rows"]]

    def appendDimension(self, details: dict[str, Any]) -> None:  # noqa: N802
        self.columns += details["length"]

    def updateSheetProperties(self, details: dict[str, Any]) -> None:  # noqa: N802
        self.frozen = details["properties"]["gridProperties"]["frozenRowCount"]


def google_error(status: int, name: str = "", headers: dict[str, str] | None = None) -> Answer:
    body = {"error": {"code": status, "message": f"told {name}", "status": name}}
    return Answer(status, json.dumps(body).encode(), headers or {})


@pytest.fixture
def google() -> Iterator[Google]:
    with recording_sink() as sink:
        yield Google(sink)


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, pkcs8, plain).decode()


@pytest.fixture
def credentials(tmp_path: Path, google: Google, private_key: str) -> Path:
    path = tmp_path / "key.json"
    key = {"type": "service_account", "client_email": "bridge@example.iam", "token_uri": f"{google.sink.url}/token"}
    path.write_text(json.dumps({**key, "private_key": private_key}))
    return path


@pytest.fixture
def log(connect: Connect, google: Google, credentials: Path) -> Any:
    columns = ["date", "time", "number", "waited", "call_id"]
    return connect(
        target="google", spreadsheet=SPREADSHEET, credentials=credentials, api_url=google.sink.url, columns=columns
    )


def test_an_empty_sheet_gets_a_frozen_header_and_rows_with_real_dates(log: Any, ended: Ended, google: Google) -> None:
    outcomes = log.add(ended("c-1"), ended("c-2"))

    seconds = (14 * 3600 + 5 * 60 + 7) / 86400
    assert google.values == [
        ["Date", "Time", "Number", "Waited", "Call id"],
        [46350, pytest.approx(seconds), "(0212) 320 50 62", pytest.approx(20 / 86400), "c-1"],
        [46350, pytest.approx(seconds), "(0212) 320 50 62", pytest.approx(20 / 86400), "c-2"],
    ]
    formats = [cell.get("userEnteredFormat", {}).get("numberFormat", {}).get("pattern") for cell in google.cells[1]]
    assert formats == ["yyyy-mm-dd", "hh:mm:ss", None, "[h]:mm:ss", None]
    assert google.frozen == 1
    assert outcomes[0] == Receipt(text=SPREADSHEET)


def test_what_waits_is_written_by_one_request(log: Any, ended: Ended, google: Google) -> None:
    log.add(*(ended(f"c-{number}") for number in range(300)))

    assert len(google.values) == 301
    assert len(google.requests("POST")) == 1
    assert len(google.requests("GET")) <= 4


def test_a_repeat_makes_no_second_row_after_people_have_sorted_the_sheet(
    log: Any, ended: Ended, google: Google
) -> None:
    log.add(ended("c-1"), ended("c-2"), ended("c-2"))
    google.cells[1:] = google.cells[:0:-1]
    log.add(ended("c-1"))
    log.add(ended("c-2"), ended("c-3"))

    assert [row[4] for row in google.values] == ["Call id", "c-2", "c-1", "c-3"]
    assert len(google.requests("POST")) == 2


def test_people_s_columns_stay_and_missing_ones_are_added_even_past_the_grid(
    log: Any, ended: Ended, google: Google
) -> None:
    google.columns = 4
    google.type_in(["Arandı mı", "Çağrı no", "", "Number"], ["evet", "x-1"], ["", "c-0"])
    log.add(ended("c-0"), ended("c-1"))

    assert google.values[0] == ["Arandı mı", "Çağrı no", "", "Number", "Date", "Time", "Waited"]
    assert google.values[1:3] == [["evet", "x-1"], ["", "c-0"]]
    assert google.values[3][:5] == ["", "c-1", "", "(0212) 320 50 62", 46350]
    assert (google.columns, google.frozen) == (7, 0)


@pytest.mark.parametrize("text", ["=IMPORTXML(1)", "+905321234567", "-1", "@x", "007"])
def test_a_text_is_sent_as_text_whatever_it_begins_with(log: Any, ended: Ended, google: Google, text: str) -> None:
    call = ended(text)
    log.add(call)
    log.add(call)

    assert google.cells[1][4] == {"userEnteredValue": {"stringValue": text}}
    assert len(google.cells) == 2


@pytest.mark.parametrize("named", ["https://docs.google.com/spreadsheets/d/1aBcD_eF-gH/edit#gid=0", SPREADSHEET])
def test_a_spreadsheet_is_named_by_its_id_or_its_url(
    connect: Connect, ended: Ended, google: Google, credentials: Path, named: str
) -> None:
    settings = {"target": "google", "credentials": credentials, "api_url": google.sink.url, "worksheet": "Calls"}
    connect(spreadsheet=named, **settings).add(ended("c-1"))

    assert google.values[1][-1] == "c-1"


def test_an_answer_that_got_lost_leads_to_no_second_row(log: Any, ended: Ended, google: Google) -> None:
    append = google.appendCells

    def append_and_fail(details: dict[str, Any]) -> None:
        append(details)
        google.failure = google_error(503, "UNAVAILABLE")

    google.appendCells = append_and_fail  # type: ignore[method-assign]
    google.sink.answer_with(lambda arrival: _last(google, arrival))
    failure = log.fail(ended("c-1"))
    google.failure, google.appendCells = None, append  # type: ignore[method-assign]
    log.add(ended("c-1"))

    assert isinstance(failure, TemporaryFailure)
    assert [row[4] for row in google.values] == ["Call id", "c-1"]


def _last(google: Google, arrival: Arrival) -> Answer:
    answer = google._answer(arrival)
    return google.failure or answer


def test_calls_of_two_pbxes_with_one_id_have_a_row_each(log: Any, ended: Ended, google: Google) -> None:
    for tenant in ("101", "102", "101", "102"):
        log.add(ended("1", tenant=tenant))

    assert [row[4] for row in google.values] == ["Call id", "1", "1"]


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b"<html>", b'{"sheets": 7}', b'{"valueRanges": [{}]}'])
def test_an_answer_that_is_none_of_googles_is_tried_again(log: Any, ended: Ended, google: Google, body: bytes) -> None:
    google.failure = Answer(200, body)
    failure = log.fail(ended("1"))

    assert isinstance(failure, TemporaryFailure)
    assert "an answer that cannot be understood" in str(failure)


# --- failures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (google_error(429, "RESOURCE_EXHAUSTED"), TemporaryFailure, "quota"),
        (google_error(403, "RESOURCE_EXHAUSTED"), TemporaryFailure, "quota"),
        (google_error(500, "INTERNAL"), TemporaryFailure, "HTTP 500"),
        (Answer(502, b"<html>Bad gateway"), TemporaryFailure, "HTTP 502"),
        (google_error(401, "UNAUTHENTICATED"), Misconfigured, "does not accept the key"),
        (google_error(403, "PERMISSION_DENIED"), Misconfigured, "share the spreadsheet with bridge@example.iam"),
        (google_error(404, "NOT_FOUND"), Misconfigured, "no such spreadsheet"),
        (google_error(400, "INVALID_ARGUMENT"), Misconfigured, "told INVALID_ARGUMENT"),
    ],
)
def test_each_failure_of_google_is_sorted(
    log: Any, ended: Ended, google: Google, answer: Answer, kind: Failure, said: str
) -> None:
    google.failure = answer
    failure = log.fail(ended("c-1"), ended("c-2"))
    google.failure = None
    log.add(ended("c-1"), ended("c-2"))

    assert type(failure) is kind
    assert said in str(failure)
    assert failure.status == answer.status
    assert len(google.values) == 3


@pytest.mark.parametrize(
    ("headers", "seconds"), [({"Retry-After": "17"}, 17.0), ({}, 60.0), ({"Retry-After": "soon"}, 60.0)]
)
def test_a_used_up_quota_is_waited_for(
    log: Any, ended: Ended, google: Google, headers: dict[str, str], seconds: float
) -> None:
    google.failure = google_error(429, "RESOURCE_EXHAUSTED", headers)

    assert log.fail(ended()).retry_after == seconds


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(400, b'{"error": "invalid_grant", "error_description": "Invalid JWT"}'), Misconfigured),
        (Answer(403, b'{"error": "access_denied"}'), Misconfigured),
    ],
)
def test_a_key_that_google_refuses_is_told_and_not_shown(
    log: Any, ended: Ended, google: Google, answer: Answer, kind: Failure
) -> None:
    google.sink.answer_with(answer)
    failure = log.fail(ended())

    assert type(failure) is kind
    assert "make a new key" in str(failure)


def test_a_google_that_cannot_be_reached_is_tried_again(log: Any, ended: Ended, google: Google) -> None:
    google.sink.close()

    assert isinstance(log.fail(ended()), TemporaryFailure)


def test_an_answer_that_does_not_come_is_not_waited_for(
    connect: Connect, ended: Ended, google: Google, credentials: Path
) -> None:
    settings = {"target": "google", "spreadsheet": SPREADSHEET, "api_url": google.sink.url}
    hanging = connect(timeout=1.0, credentials=credentials, **settings)
    google.failure = Answer(200, b"{}", delay=3.0)

    assert isinstance(hanging.fail(ended()), TemporaryFailure)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"worksheet": "Missing"}, "no worksheet Missing"),
        ({"spreadsheet": "https://example.com/"}, "no URL of a Google spreadsheet"),
        ({"spreadsheet": "other"}, "no such spreadsheet"),
    ],
)
def test_what_is_named_wrongly_is_told(
    connect: Connect, ended: Ended, google: Google, credentials: Path, changes: dict[str, str], said: str
) -> None:
    settings = {"target": "google", "spreadsheet": SPREADSHEET, "api_url": google.sink.url, "credentials": credentials}
    failure = connect(**{**settings, **changes}).fail(ended())

    assert isinstance(failure, Misconfigured)
    assert said in str(failure)


def test_a_key_that_is_broken_is_told_and_not_shown(
    connect: Connect, ended: Ended, google: Google, credentials: Path
) -> None:
    credentials.write_text(json.dumps({**json.loads(credentials.read_text()), "private_key": "SECRET"}))
    settings = {"target": "google", "spreadsheet": SPREADSHEET, "api_url": google.sink.url, "credentials": credentials}
    failure = connect(**settings).fail(ended())

    assert isinstance(failure, Misconfigured)
    assert "SECRET" not in str(failure)


def test_the_check_reads_and_writes_nothing(log: Any, ended: Ended, google: Google) -> None:
    log.add(ended("c-1"))
    posts = len(google.requests("POST"))

    assert log.connector.bridge_check() == '"Calls" of the spreadsheet "Call log" has 1 calls'
    assert len(google.requests("POST")) == posts


class TestContract(ConnectorContract):
    """What the core relies on, with Google's answers in the place of plain ones."""

    (kind,) = callbridge_spreadsheet.bridge_connectors()
    # To Google every refusal means that the sheet, its address or the key must be mended, and no row is at fault.
    failures = ConnectorContract.failures | dict.fromkeys(["400", "404", "410"], Misconfigured)

    @pytest.fixture(autouse=True)
    def _with_key(self, private_key: str) -> None:
        self._key = private_key

    def settings(self, place: Place) -> dict[str, object]:
        credentials = place.folder / "key.json"
        key = {"type": "service_account", "client_email": "bridge@example.iam", "token_uri": f"{place.url}/token"}
        credentials.write_text(json.dumps({**key, "private_key": self._key}))
        target = {"target": "google", "spreadsheet": SPREADSHEET, "credentials": str(credentials), "every": "0"}
        return {**target, "api_url": place.url}

    def prepare(self, place: Place) -> None:
        self._google = Google(place.sink)

    def bring_about(self, what: str, place: Place) -> None:
        super().bring_about(what, place)
        if what not in ("refused", "black hole"):
            self._google.failure = place.sink._answer(Arrival(0, "POST", "/", {}, b""))
            place.sink.answer_with(self._google._answer)

    def copies(self, event: Event, place: Place) -> int:
        return len(self._google.values) - 1
