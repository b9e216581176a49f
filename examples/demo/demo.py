"""callbridge's main job, end to end: a PBX posts a morning of calls, the missed ones arrive in a chat channel.

Everything is real but the PBX and the channel, which are stand-ins on this machine: `callbridge serve` runs in a
process of its own with its store in a temporary folder, and `callbridge simulate` posts over HTTP. The channel refuses
the first posts, so that the retries can be seen. With --exit it ends by itself: 0 where everything arrived, else 1.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from channel import Channel, Message
from screen import Row, Screen

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
"""
SAMPLE = (
    "event_type=ringing&domain_id=101&direction=inbound&caller_id_number=02123205062&outbound_caller_id_number="
    "&destination_number=1001&dialed_user=1001&call_uuid=1234&start_stamp=2016-01-01 00:00:00"
)
"""The post that the PBX's specification shows."""

ARRIVAL_SECONDS = 60.0
FOREVER = 10.0**9


def main() -> int:
    """Run the demo; returns the exit code."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--exit", action="store_true", help="end by itself: exit 0 only if everything arrived")
    screen = Screen()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # so that everything is stopped on the way out
    try:
        return _run(screen, stay=not arguments.parse_args().exit)
    except AssertionError as error:  # the test kit's word for what did not happen
        screen.fail(str(error))
        return 1
    except KeyboardInterrupt:
        screen.fail("interrupted")
        return 130


def _run(screen: Screen, *, stay: bool) -> int:
    token = secrets.token_urlsafe(9)
    with (
        tempfile.TemporaryDirectory(prefix="callbridge-demo-") as folder,
        closing(Channel(screen.channel)) as channel,
        closing(RecordingSink()) as crm,
    ):
        config = CONFIG.format(locale=_locale(), token=token, channel=channel.url, crm=f"{crm.url}/calls")
        bridge = BridgeProcess(Path(folder), config)
        began = time.monotonic()
        with _running(bridge):
            screen.step(f"The bridge runs: {bridge.url}, ready after {time.monotonic() - began:.1f} s")
            screen.say(f"config and store: {folder}")
            url = f"{bridge.url}/event/{token}"
            arrived = _morning(screen, bridge, channel, url)
            if not arrived:
                screen.fail("not everything arrived")
            if stay:
                _stay(screen, bridge, url)
            return 0 if arrived else 1


def _morning(screen: Screen, bridge: BridgeProcess, channel: Channel, url: str) -> bool:
    """Post a morning of calls and show what becomes of it; whether everything arrived."""
    screen.step("The PBX posts a morning of calls; the missed ones go to the chat channel")
    posted = bridge.run("simulate", "morning", "--to", url)
    if posted.returncode:
        raise AssertionError(posted.stderr)
    posts = posted.stdout.splitlines()
    screen.say(f"{len(posts)} posts are taken; the answer to the first, the specification's sample: {posts[0]}")
    deliveries = eventually(lambda: _finished(bridge), "the last delivery", ARRIVAL_SECONDS)
    calls = bridge.rows("calls")
    screen.step("The calls (callbridge calls)")
    screen.calls(calls)
    screen.step("The deliveries (callbridge deliveries)")
    screen.deliveries(deliveries)
    missed = [call for call in calls if call["state"] == "missed"]
    screen.say(f"{len(missed)} missed calls, {len(channel.messages)} messages in the channel")
    return _are_in(channel.messages, missed) and all(row["state"] == "delivered" for row in deliveries)


def _finished(bridge: BridgeProcess) -> list[Row] | None:
    """The deliveries, once nothing is pending."""
    deliveries = bridge.rows("deliveries")
    return None if any(row["state"] == "pending" for row in deliveries) else deliveries


def _are_in(messages: Sequence[Message], missed: Sequence[Row]) -> bool:
    """Whether there is a message for every missed call, with its caller."""
    callers = Counter(value for message in messages for _, value in message.lines)
    return not Counter(call["caller"]["display"] for call in missed) - callers


def _stay(screen: Screen, bridge: BridgeProcess, url: str) -> None:
    """Until Ctrl-C, or until somebody stops the bridge. What else is missed still shows up."""
    command = os.path.relpath(Path(sys.executable).with_name("callbridge"))
    screen.your_turn(
        f"curl -d '{SAMPLE}' {url}",
        f"{command} simulate queue-abandoned --to {url}",
        f"{command} deliveries --config {bridge.config}",
        f"curl {bridge.url}/readyz",
    )
    try:
        bridge.wait(FOREVER)
    except KeyboardInterrupt:
        screen.say("stopping")
    else:
        raise AssertionError("the bridge ended")


@contextmanager
def _running(bridge: BridgeProcess) -> Iterator[None]:
    """The bridge, stopped in the orderly way, and the hard way if that takes too long."""
    try:
        bridge.start()
        try:
            yield
        finally:
            bridge.stop()
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"the bridge did not stop in time: {error}") from error
    finally:
        bridge.close()


def _locale() -> str:
    language = os.environ.get("LC_ALL") or os.environ.get("LANG") or ""
    return "tr" if language.lower().startswith("tr") else "en"


if __name__ == "__main__":
    sys.exit(main())
