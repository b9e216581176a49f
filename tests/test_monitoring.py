"""What monitors see: /healthz, /readyz and /metrics."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from bridge.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Desk, Office

NO_PLUGIN = 'no plugin of kind "nonesuch" is installed (`callbridge plugins` lists those that are)'


def test_health_is_that_the_process_is_up(office: Office) -> None:
    health = office.bridge.get("/healthz")
    assert (health.status_code, health.text) == (200, "ok")
    assert health.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_a_bridge_without_troubles_is_ready(open_desk: Callable[..., Desk]) -> None:
    ready = open_desk().client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json == {
        "status": "ready",
        "reasons": [],
        "sources": {"bulutsantralim": {"last_event_at": None}},
        "failed": {},
        "paused": {},
        "open": {},
        "hung": [],
        "failed_directories": {},
        "warnings": [],
    }


def test_troubles_are_named_and_the_bridge_is_ready_all_the_same(troubled: Office) -> None:
    answer = troubled.bridge.get("/readyz")
    ready = answer.json()
    assert (answer.status_code, ready["status"], ready["reasons"]) == (200, "ready", [])
    assert ready["failed"] == {"broken": "connectors.broken.url: is required"}
    assert list(ready["paused"]) == ["refused"]
    assert "401" in ready["paused"]["refused"]
    assert list(ready["open"]) == ["down"]
    assert "503" in ready["open"]["down"]
    assert ready["failed_directories"] == {"contacts": NO_PLUGIN}


@pytest.mark.parametrize("reads_at_once", [True, False])
def test_a_store_that_takes_no_heartbeat_is_read_only_where_that_waits_for_nobody(
    open_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch, reads_at_once: bool
) -> None:
    desk = open_desk()
    desk.post({"event_type": "ringing", "call_uuid": "1234"})
    monkeypatch.setattr(desk.bridge.store, "beat", Mock(side_effect=StoreError("it is silent")))
    monkeypatch.setattr(type(desk.bridge.store), "reads_at_once", reads_at_once)
    ready = desk.client.get("/readyz")
    assert (ready.status_code, ready.json["reasons"]) == (503, ["it is silent"])
    assert (ready.json["sources"]["bulutsantralim"]["last_event_at"] is not None) is reads_at_once
    metrics = desk.client.get("/metrics")
    assert metrics.status_code == (200 if reads_at_once else 503)
    assert ("it is silent" in metrics.text) is not reads_at_once


def test_the_last_event_of_each_source_is_told(troubled: Office) -> None:
    sources = troubled.bridge.get("/readyz").json()["sources"]
    assert sources["branch"] == {"last_event_at": None}
    age = datetime.now(UTC) - datetime.fromisoformat(sources["bulutsantralim"]["last_event_at"])
    assert timedelta(0) <= age < timedelta(minutes=20)  # as long as the other tests of this bridge may take


def test_connectors_are_listed_with_their_troubles(troubled: Office) -> None:
    rows = {row["name"]: row for row in troubled.rows("connectors")}
    assert {name: (row["state"], row["waiting"]) for name, row in rows.items()} == {
        "fine": ("active", 0),
        "refused": ("paused", 2),
        "dying": ("active", 0),
        "down": ("open", 1),
        "broken": ("failed", 1),
        "told": ("active", 0),
    }
    assert rows["broken"]["error"] == "connectors.broken.url: is required"
    assert "401" in rows["refused"]["error"]
    assert "503" in rows["down"]["error"]


def test_metrics_can_be_scraped(troubled: Office) -> None:
    answer = troubled.bridge.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["callbridge_posts_total", "bulutsantralim", "kept"] == 1
    assert samples["callbridge_events_total", "bulutsantralim", "call.missed"] == 1
    assert samples["callbridge_accept_seconds_count",] == 1
    assert samples["callbridge_attempts_total", "delivered", "fine"] == 1
    assert samples["callbridge_attempts_total", "misconfigured", "refused"] == 1
    assert samples["callbridge_attempts_total", "down", "temporary"] == 1
    waiting = {name: samples["callbridge_deliveries_waiting", name] for name in ("fine", "refused", "down", "broken")}
    assert waiting == {"fine": 0, "refused": 2, "down": 1, "broken": 1}
    stopped = {name: samples["callbridge_connector_stopped", name] for name in ("fine", "refused", "down", "broken")}
    assert stopped == {"fine": 0, "refused": 1, "down": 1, "broken": 1}


def test_what_a_stranger_posts_makes_no_labels(office: Office) -> None:
    office.post(b"{}", "/event/made-up-source/wrong-token")
    assert "made-up-source" not in office.bridge.get("/metrics").text


@pytest.mark.parametrize("forwarded", ["127.0.0.1", "::1", "203.0.113.9", "127.0.0.1, 127.0.0.1"])
def test_who_comes_through_a_proxy_nobody_named_sees_no_details(office: Office, forwarded: str) -> None:
    headers = {"X-Forwarded-For": forwarded}
    ready = requests.get(f"{office.bridge.url}/readyz", headers=headers, timeout=10)
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
    scrape = requests.get(f"{office.bridge.url}/metrics", headers=headers, timeout=10)
    assert (scrape.status_code, scrape.text) == (403, "only for server.monitor_from")
    assert requests.get(f"{office.bridge.url}/healthz", headers=headers, timeout=10).status_code == 200


@pytest.mark.parametrize(
    ("peer", "monitor_from", "may_see"),
    [
        ("127.0.0.1", None, True),
        ("::1", None, True),
        ("10.0.0.7", None, False),
        ("10.0.0.7", '["10.0.0.0/8"]', True),
        ("127.0.0.1", '["10.0.0.0/8"]', False),
        ("127.0.0.1", "[]", False),
    ],
)
def test_monitors_are_known_by_their_address(
    open_desk: Callable[..., Desk], peer: str, monitor_from: str | None, may_see: bool
) -> None:
    desk = open_desk(f"[server]\nmonitor_from = {monitor_from}" if monitor_from else "")
    environ = {"REMOTE_ADDR": peer}
    assert ("sources" in desk.client.get("/readyz", environ_base=environ).json) == may_see
    assert desk.client.get("/metrics", environ_base=environ).status_code == (200 if may_see else 403)


def test_a_bridge_whose_dispatcher_has_ended_is_not_ready(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    desk.bridge.dispatcher.stop(2.0)
    ready = desk.client.get("/readyz")
    assert (ready.status_code, ready.json["status"]) == (503, "unready")
    assert ready.json["reasons"] == ["the dispatcher does not run"]
    assert desk.client.get("/readyz", environ_base={"REMOTE_ADDR": "10.0.0.7"}).json == {"status": "unready"}
    assert desk.client.get("/healthz").status_code == 200


def test_a_bridge_whose_store_has_ended_is_not_ready(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    desk.bridge.store.stop()
    ready = desk.client.get("/readyz")
    assert (ready.status_code, ready.json["reasons"]) == (503, ["the bridge is stopping"])
