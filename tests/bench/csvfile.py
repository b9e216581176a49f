"""How long it takes to append a row to a long CSV file."""

from __future__ import annotations

import statistics
import time

from callbridge_spreadsheet.connector import Spreadsheet
from callbridge_spreadsheet.settings import SpreadsheetSettings
from rig import Rig
from table import Row, spread

from bridge import Delivery
from bridge.testing import connector_context, sample_event


def measure_a_csv_file(rig: Rig) -> None:
    """One row appended to 10,000, by a connector that knows the file, and by one that has just started."""
    settings = SpreadsheetSettings.model_validate({"path": str(rig.folder / "calls.csv")})
    started = [Spreadsheet(settings, connector_context("call_log")) for _ in range(21)]
    started[0].bridge_deliver([_ended(number) for number in range(10_000)])
    for what, connectors in (("after a start", started[1:]), ("again", started[-1:] * 20)):
        taken = []
        for number, connector in enumerate(connectors):
            delivery = _ended(f"{what} {number}")
            began = time.monotonic()
            connector.bridge_deliver([delivery])
            taken.append(time.monotonic() - began)
        result = statistics.median(taken) < 0.005
        rig.rows.append(Row(f"a row appended to a CSV file of 10,000, {what}", spread(taken), "p50 < 5 ms", result))


def _ended(call: object) -> Delivery:
    """The end of a call, as a connector gets it."""
    event = sample_event("call.missed", id=f"{call}-1111-2222")
    return Delivery(id=f"dlv_{call}", connector="call_log", target="", attempt=1, event=event)
