"""callbridge's main job, end to end: a PBX posts a morning of calls, the missed ones arrive in a chat channel.

Everything is real but the PBX and the channel, which are stand-ins on this machine: `callbridge serve` runs in a
process of its own with its store in a temporary folder, and the posts go over HTTP. The channel refuses the first
messages, so that the retries can be seen. With --exit it ends by itself: 0 where everything arrived, else 1.
"""

from __future__ import annotations

import argparse
import csv
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from channel import Channel, Message
from screen import Row, Screen
from sqlalchemy import Connection

from bridge.model import Scenario
from bridge.plugins import load_source_kind
from bridge.simulate import play
from bridge.store import Database, queries
from bridge.testing import BridgeProcess, RecordingSink, eventually

CONFIG = """\
locale = "{locale}"

[intake]
tokens = ["{token}"]

[connectors.missed_to_channel]
kind = "slack"
on = ["call.missed"]
webhook_url = "{channel}"
retry = {{schedule = ["1s", "2s", "4s", "8s", "15s"]}}

[connectors.all_to_crm]
kind = "webhook"
on = ["*"]
url = "{crm}"

[connectors.call_log]
kind = "spreadsheet"
on = ["call.completed", "call.missed", "call.unanswered"]
path = "{call_log}"
columns = ["time", "direction", "number", "rang", "answered_by", "waited", "talked", "result", "call_id"]

[connectors.screens]
kind = "popup"
on = ["call.*", "leg.ended"]
"""
SAMPLE = (
    "event_type=ringing&domain_id=101&direction=inbound&caller_id_number=02123205062&outbound_caller_id_number="
    "&destination_number=1001&dialed_user=1001&call_uuid=1234&start_stamp=2016-01-01 00:00:00"
)
"""The post that the PBX's specification shows."""
SAMPLE_ENDS = {
    "event_type": "hangup",
    "connected_user": "",
    "answer_stamp": "",
    "end_stamp": "2016-01-01 00:00:20",
    "duration": "20",
    "answered": "false",
    "sip_hangup_disposition": "caller",
    "hangup_cause": "ORIGINATOR_CANCEL",
}
"""How that call may have ended: nobody took it."""

ARRIVAL_SECONDS = 60.0

Ended = SimpleQueue[int | AssertionError]
"""Why the demo is over: the first thing in it is its exit code, or what went wrong."""


def main() -> int:
    """Run the demo; returns the exit code."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--exit", action="store_true", help="end by itself: exit 0 only if everything arrived")
    stay = not arguments.parse_args().exit
    screen = Screen()
    ended: Ended = SimpleQueue()
    # A signal only leaves a note: an exception out of nowhere could leave something running.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: ended.put(128 + number))
    token = secrets.token_urlsafe(9)
    with (
        tempfile.TemporaryDirectory(prefix="callbridge-demo-") as folder,
        closing(Channel(screen.channel)) as channel,
        closing(RecordingSink()) as crm,
    ):
        call_log = Path(folder) / "calls.csv"
        config = CONFIG.format(
            locale=_locale(), token=token, channel=channel.url, crm=f"{crm.url}/calls", call_log=call_log
        )
        story = Story(screen, channel, BridgeProcess(Path(folder), config), token)
        try:
            story.begin()
            threading.Thread(target=story.tell, args=(ended, stay), daemon=True).start()
            why = ended.get()
        except AssertionError as error:  # the test kit's word for what did not happen
            why = error
        finally:
            story.end()
    if isinstance(why, AssertionError):
        screen.fail(str(why))
        return 1
    return 0 if story.is_told and why == 128 + signal.SIGINT else why


class Story:
    """A morning, from the start of the bridge to its end. `is_told` once everything has arrived."""

    def __init__(self, screen: Screen, channel: Channel, bridge: BridgeProcess, token: str) -> None:
        self.is_told = False
        self._screen = screen
        self._channel = channel
        self._bridge = bridge
        self._url = f"{bridge.url}/event/{token}"
        self._popup = ""

    def begin(self) -> None:
        """Start the bridge."""
        began = time.monotonic()
        self._bridge.start()
        self._screen.step(f"The bridge runs: {self._bridge.url}, ready after {time.monotonic() - began:.1f} s")
        self._screen.say(f"config and store: {self._bridge.folder}")
        (granted,) = self._bridge.rows("popup", "grant", "1001")
        self._popup = granted["link"]
        self._screen.say(f"who calls extension 1001, in a browser: {self._popup}")

    def tell(self, ended: Ended, stay: bool) -> None:
        """Post the calls and show what becomes of them. The demo is over then, unless it is to stay."""
        try:
            self._post()
            self._show()
        except AssertionError as error:
            ended.put(error)
            return
        self.is_told = True
        if stay:
            self._your_turn()
        else:
            ended.put(0)

    def end(self) -> None:
        """Stop the bridge in the orderly way, and the hard way if that takes too long."""
        try:
            with suppress(subprocess.TimeoutExpired):
                self._bridge.stop()
        finally:
            self._bridge.close()

    def _post(self) -> None:
        self._screen.step("The PBX posts a morning of calls; the missed ones go to the chat channel")
        ringing = dict(parse_qsl(SAMPLE, keep_blank_values=True))
        sample = Scenario("sample", ((0.0, ringing), (0.1, ringing | SAMPLE_ENDS)))
        morning = load_source_kind("bulutsantralim").scenarios["morning"]
        now = datetime.now(ZoneInfo("Europe/Istanbul"))
        steps = [*play(sample, self._url), *play(morning(now), self._url)]
        refused = [step.text for step in steps if not step.is_ok]
        if refused:
            raise AssertionError(f"{len(refused)} posts were refused: {refused[0]}")
        self._screen.say(f"{len(steps)} posts were taken; the specification's sample was answered {steps[0].text}")

    def _show(self) -> None:
        with closing(Database(f"sqlite:///{self._bridge.database}")) as store:
            deliveries = eventually(lambda: _finished(store), "the last delivery", ARRIVAL_SECONDS)
            calls = _rows(store, queries.calls)
        missed = [call for call in calls if call["state"] == "missed"]
        self._screen.step("The calls (callbridge calls)")
        self._screen.calls(calls)
        self._screen.step("The deliveries (callbridge deliveries)")
        self._screen.deliveries(deliveries)
        self._screen.say(f"{len(missed)} missed calls, {len(self._channel.messages)} messages in the channel")
        call_log = self._bridge.folder / "calls.csv"
        header, *rows = _read_csv(call_log)
        self._screen.step(f"The spreadsheet that fills meanwhile ({call_log})")
        self._screen.spreadsheet(header, rows)
        if len(rows) != sum(call["ended_at"] is not None for call in calls):
            raise AssertionError("the spreadsheet lacks calls")
        if any(row["state"] != "delivered" for row in deliveries) or not _are_in(self._channel.messages, missed):
            raise AssertionError("not everything arrived")

    def _your_turn(self) -> None:
        command = os.path.relpath(Path(sys.executable).with_name("callbridge"))
        self._screen.your_turn(
            f"open {self._popup}  (the screen of extension 1001: it rings there with the next line)",
            f"{command} simulate queue-abandoned --to {self._url}",
            f"curl -d '{SAMPLE}' {self._url}",
            f"{command} deliveries --config {self._bridge.config}",
            f"curl {self._bridge.url}/readyz",
        )


def _rows(store: Database, query: Callable[[Connection], Iterator[Row]]) -> list[Row]:
    with store.reader.begin() as connection:
        return list(query(connection))


def _finished(store: Database) -> list[Row] | None:
    """The deliveries, once nothing is pending."""
    with store.reader.begin() as connection:
        is_waiting = any(queries.deliveries(connection, state="pending", limit=1))
        return None if is_waiting else list(queries.deliveries(connection))


def _read_csv(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        dialect = csv.Sniffer().sniff(file.readline(), ";,")
        file.seek(0)
        return list(csv.reader(file, dialect))


def _are_in(messages: Sequence[Message], missed: Sequence[Row]) -> bool:
    """Whether there is a message for every missed call, with its caller."""
    callers = Counter(value for message in messages for _, value in message.lines)
    return not Counter(call["caller"]["display"] for call in missed) - callers


def _locale() -> str:
    language = os.environ.get("LC_ALL") or os.environ.get("LANG") or ""
    return "tr" if language.lower().startswith("tr") else "en"


if __name__ == "__main__":
    sys.exit(main())
