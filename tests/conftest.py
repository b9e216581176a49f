"""What tests of the intake, the events and the commands share: a bridge that runs, and a bridge within the test."""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme
from click.testing import CliRunner, Result
from werkzeug.test import TestResponse

from bridge import HttpClient
from bridge.app import Bridge, create_app
from bridge.cli import main
from bridge.exchange import tls_context
from bridge.redaction import Redactor
from bridge.settings import load_settings
from bridge.store import queries
from bridge.testing import (
    PATIENCE,
    Answer,
    Arrival,
    BridgeProcess,
    RecordingSink,
    eventually,
    recording_sink,
    running_bridge,
)
from bridge.testing.stores import put_empty_store
from tests.plugins_for_tests.cluster import Cluster, find_binaries, running_cluster


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: many tests wait for processes that start, end or try again."""
    return len(os.sched_getaffinity(0)) + 1


LONGEST = (
    *("test_faults.py", "test_delivery_process.py", "test_demo.py", "test_authoring.py", "test_popup_browser.py"),
    *("test_safekeeping.py", "test_processes.py", "test_postgresql.py", "test_apprise_bridge.py"),
)
"""The files that take longest, for they wait for processes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, so that at the end nobody waits for the one who has got one of them."""
    items.sort(key=lambda item: LONGEST.index(name) if (name := item.path.name) in LONGEST else len(LONGEST))


def pytest_collection_finish() -> None:
    """What is imported by now stays: the collector need not go through it again and again."""
    gc.collect()
    gc.freeze()


TOKEN = "a-token-of-the-office"
OTHER_TOKEN = "tökén +%25 of tomorrow"

OFFICE = f"""
locale = "tr"
[intake]
tokens = ["{TOKEN}", "{OTHER_TOKEN}"]
wrong_tokens = "10000/1s"
[log]
level = "debug"
[connectors.everything]
kind = "webhook"
on = ["*"]
url = "SINK/everything"
[connectors.night_desk]
kind = "webhook"
on = ["call.missed"]
when = {{queue = ["900"]}}
url = "SINK/night"
[connectors.fragile]
kind = "webhook"
on = ["call.missed"]
when = {{queue = ["901"]}}
url = "SINK/fragile"
retry = {{schedule = []}}
breaker = {{failures = 0}}
"""

TROUBLED = """
[sources.bulutsantralim]
[sources.branch]
kind = "bulutsantralim"
[connectors.fine]
kind = "webhook"
on = ["call.missed"]
url = "SINK/200"
[connectors.refused]
kind = "webhook"
on = ["call.missed", "bridge.*"]
url = "SINK/401"
[connectors.dying]
kind = "webhook"
on = ["call.missed", "bridge.*"]
url = "SINK/400"
concurrency = 1
[connectors.down]
kind = "webhook"
on = ["call.missed"]
url = "SINK/503"
breaker = {failures = 1, cooldown = ["1h"]}
[connectors.broken]
kind = "webhook"
on = ["call.missed"]
[connectors.told]
kind = "webhook"
on = ["bridge.*"]
url = "SINK/told"
[directories.contacts]
kind = "nonesuch"
"""

CALL = {
    "domain_id": "101",
    "direction": "inbound",
    "caller_id_number": "02123205062",
    "destination_number": "1001",
    "dialed_user": "1001",
    "start_stamp": "2016-01-01 00:00:00",
}
"""What every form of a call says."""

MISSED = CALL | {
    "event_type": "hangup",
    "connected_user": "",
    "answer_stamp": "",
    "end_stamp": "2016-01-01 00:00:20",
    "answered": "false",
    "hangup_cause": "ORIGINATOR_CANCEL",
}
"""The hangup of a call that nobody took."""

Json = dict[str, Any]


class Office:
    """A bridge that runs, a sink that gets every event it delivers, and its commands beside it."""

    token = TOKEN
    other_token = OTHER_TOKEN
    path = f"/event/{TOKEN}"
    call: Mapping[str, str] = CALL
    missed: Mapping[str, str] = MISSED

    def __init__(self, bridge: BridgeProcess, sink: RecordingSink) -> None:
        self.bridge = bridge
        self.sink = sink
        self.answers: dict[str, Answer] = {}
        sink.answer_with(lambda arrival: self.answers.get(arrival.path, Answer()))
        self._numbers = itertools.count()

    def new_id(self) -> str:
        """The id of a call nobody has heard of."""
        return f"call-{next(self._numbers)}"

    def post(self, form: Mapping[str, str] | bytes, path: str | None = None, **options: Any) -> requests.Response:
        """Post as a PBX that knows the token."""
        return self.bridge.post(path or self.path, form, **options)

    def tell(self, form: Mapping[str, str], **changes: str) -> str:
        """Post a form that is taken; returns the id of its call, a new one unless `call_uuid` is given."""
        call_id = changes.setdefault("call_uuid", self.new_id())
        answer = self.post({**form, **changes})
        assert (answer.status_code, answer.text) == (200, call_id)
        return call_id

    def hear(self, form: Mapping[str, str], **changes: str) -> Json:
        """Post a form; returns the event of it as the webhook connector sends it."""
        call_id = self.tell(form, **changes)
        return self.heard(call_id)[-1]

    def heard(self, call_id: str, count: int = 1) -> list[Json]:
        """The events of a call that were delivered, as soon as there are `count`."""
        return [arrival.json() for arrival in self.arrivals(call_id, count)]

    def arrivals(
        self, call_id: str, count: int = 1, path: str = "/everything", within: float = PATIENCE
    ) -> list[Arrival]:
        """The requests that brought the events of a call, as soon as there are `count`."""

        def look() -> list[Arrival] | None:
            mine = self.arrived(call_id, path)
            return mine if len(mine) >= count else None

        return eventually(look, f"delivery {count} of {call_id} to {path}", within)

    def arrived(self, call_id: str, path: str) -> list[Arrival]:
        """The requests to a path of the sink that brought events of a call so far."""
        of_path = [arrival for arrival in list(self.sink.arrivals) if arrival.path == path]
        return [arrival for arrival in of_path if (arrival.json()["data"]["call"] or {}).get("id") == call_id]

    def delivery(self, call_id: str, connector: str) -> Json:
        """The one delivery of a call to a connector, as it stands."""
        (row,) = [row for row in self.rows("deliveries", "--connector", connector) if row["call_id"] == call_id]
        return row

    def ended(self, call_id: str, connector: str, state: str) -> Json:
        """That delivery, as soon as it is in a state."""

        def look() -> Json | None:
            row = self.delivery(call_id, connector)
            return row if row["state"] == state else None

        return eventually(look, f"{connector} {state}")

    def kept(self, call_id: str) -> list[Json]:
        """The events of a call that were kept, delivered or not."""
        return [row for row in self.rows("events") if (row["data"]["call"] or {}).get("id") == call_id]

    def types(self, call_id: str) -> list[str]:
        """The types of the kept events of a call."""
        return [event["type"] for event in self.kept(call_id)]

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        lines = self.bridge.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))

    def run(self, *arguments: str) -> Result:
        """A command, beside the bridge (in the process of the test, which is quicker than one of its own)."""
        return self.bare(*arguments, "--config", str(self.bridge.config))

    def bare(self, *arguments: str) -> Result:
        """The same, with exactly these arguments."""
        return CliRunner().invoke(main, arguments)

    def rows(self, *arguments: str) -> list[Json]:
        """What a command prints with --json."""
        return self.bridge.rows(*arguments)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL of the tests' own."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed on this machine (Debian: apt-get install postgresql)")
    with running_cluster(binaries) as one:
        yield one


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """An office in Turkey. Tests share it, so each uses calls of its own."""
    with recording_sink() as sink:
        config = OFFICE.replace("SINK", sink.url)
        with running_bridge(tmp_path_factory.mktemp("office"), config) as bridge:
            yield Office(bridge, sink)


@pytest.fixture(scope="session")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A bridge without tokens, with every trouble a connector can have, after one missed call."""
    with recording_sink() as sink:
        config = TROUBLED.replace("SINK", sink.url)
        with running_bridge(tmp_path_factory.mktemp("troubled"), config) as bridge:
            office = Office(bridge, sink)
            office.answers |= {f"/{status}": Answer(status, b"") for status in (400, 401, 503)}
            form = {"event_type": "hangup", "call_uuid": "1", "direction": "inbound", "answered": "false"}
            assert bridge.post("/event/bulutsantralim", form).text == "1"
            eventually(lambda: len([one for one in list(sink.arrivals) if one.path == "/told"]) == 2, "the tellings")
            eventually(lambda: bridge.get("/readyz").json()["open"], "the open breaker")
            yield office


class Desk:
    """A bridge within the test, with a clock that stands still until the test moves it."""

    def __init__(self, folder: Path, config: str) -> None:
        path = folder / "desk.toml"
        path.write_text(f'{config}\n[store]\nurl = "sqlite:///{folder / "desk.db"}"\n', "utf-8")
        put_empty_store(folder / "desk.db")
        self.now = 1_790_000_000.0
        self.redactor = Redactor()
        self.bridge = Bridge(load_settings(path, {}), self.redactor, lambda: self.now)
        self.client = create_app(self.bridge).test_client()

    def post(self, form: Mapping[str, str] | bytes, path: str = "/event", **options: Any) -> TestResponse:
        """Post a form to a path."""
        return self.client.post(path, data=form, **options)

    def types(self) -> list[str]:
        """The types of all events, in the order in which they were kept."""
        return [event["type"] for event in self.events()]

    def events(self) -> list[Json]:
        """All events, in the order in which they were kept."""
        with self.bridge.store.reading() as connection:
            return list(queries.events(connection))

    def deliveries(self) -> list[Json]:
        """All deliveries."""
        with self.bridge.store.reading() as connection:
            return list(queries.deliveries(connection))

    def quarantine(self) -> list[Json]:
        """The posts that were kept aside."""
        with self.bridge.store.reading() as connection:
            return list(queries.quarantine(connection))

    def metric(self, name: str, **labels: str) -> float:
        """What a metric says; 0 where it says nothing yet."""
        return self.bridge.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def open_desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Makes a desk of a config, and closes it at the end of the test."""
    desks: list[Desk] = []

    def open_one(config: str = "") -> Desk:
        desk = Desk(tmp_path, config)
        desk.bridge.start()
        desks.append(desk)
        return desk

    yield open_one
    for desk in desks:
        desk.bridge.drain(2.0)
        desk.bridge.close()


@pytest.fixture
def client() -> Iterator[HttpClient]:
    with HttpClient(timeout=5) as client:
        yield client


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[trustme.CA]:
    """A certificate authority the client trusts."""
    authority, file = trustme.CA(), tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    tls_context.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        yield authority
    tls_context.cache_clear()
