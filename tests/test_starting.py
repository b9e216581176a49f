"""What happens where `bridge_start` of a plugin raises, or does not return."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bridge.testing import eventually
from tests.plugins_for_tests.install import install

if TYPE_CHECKING:
    from tests.conftest import Desk

STUBBORN = """
    import threading
    from pydantic import BaseModel, SecretStr
    from bridge import ConnectorKind, Receipt, hookimpl

    class Options(BaseModel):
        token: SecretStr = SecretStr("")
        start: str = "works"

    class Stubborn:
        def __init__(self, options, context):
            self.options = options
            self.got = []

        @hookimpl
        def bridge_start(self):
            if self.options.start == "hangs":
                threading.Event().wait(60)
            if self.options.start == "raises":
                raise OSError(f"no login with {self.options.token.get_secret_value()}")

        @hookimpl
        def bridge_deliver(self, delivery):
            self.got.append(delivery.event.id)

    @hookimpl
    def bridge_connectors():
        return [ConnectorKind(name="stubborn", create=Stubborn, settings=Options)]
"""

CONFIG = """
[connectors.first]
kind = "stubborn"
on = ["*"]
start = "{first}"
token = "s3cret-token"
[connectors.second]
kind = "stubborn"
on = ["*"]
start = "{second}"
[connectors.fine]
kind = "stubborn"
on = ["*"]
"""

FORM = {"event_type": "hangup", "call_uuid": "1", "direction": "inbound", "answered": "false"}


@pytest.fixture(autouse=True)
def _stubborn_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(tmp_path))
    install(tmp_path, "stubborn", STUBBORN)
    yield
    sys.modules.pop("callbridge_test_stubborn", None)


def failed(desk: Desk) -> dict[str, str]:
    """The connectors that `/readyz` names as failed, and why."""
    return desk.client.get("/readyz").json["failed"]  # type: ignore[index]


def states(desk: Desk, state: str) -> set[str]:
    """The connectors with a delivery in a state."""
    return {row["connector"] for row in desk.deliveries() if row["state"] == state}


def test_a_connector_that_cannot_start_is_shown_as_failed_and_its_deliveries_wait(
    open_desk: Callable[..., Desk],
) -> None:
    desk = open_desk(CONFIG.format(first="raises", second="works"))
    assert failed(desk) == {"first": "bridge_start failed: OSError: no login with ***"}

    assert desk.post(FORM).status_code == 200
    eventually(lambda: states(desk, "delivered") == {"second", "fine"}, "the other deliveries")
    waiting = {row["connector"]: (row["state"], row["attempts"]) for row in desk.deliveries()}
    assert waiting == {"first": ("pending", 0), "second": ("delivered", 1), "fine": ("delivered", 1)}
    assert 'callbridge_connector_stopped{connector="first"} 1.0' in desk.client.get("/metrics").text


def test_a_connector_that_starts_the_next_time_delivers_what_waited(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(CONFIG.format(first="raises", second="works"))
    desk.post(FORM)
    desk.bridge.drain(5.0)
    desk.bridge.close()
    again = open_desk(CONFIG.format(first="works", second="works"))

    assert failed(again) == {}
    eventually(lambda: states(again, "delivered") == {"first", "second", "fine"}, "all deliveries")


def test_connectors_that_hang_at_the_start_cost_one_wait_together(
    open_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.app.HOOK_SECONDS", 0.2)
    desk = open_desk(CONFIG.format(first="hangs", second="hangs"))

    assert failed(desk) == dict.fromkeys(("first", "second"), "bridge_start did not return within 0.2 s")


def test_a_resume_does_not_start_what_could_not_start(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(CONFIG.format(first="raises", second="works"))
    healths = desk.bridge.store.healths()

    assert healths["first", ""].resume().admits(desk.now) == "none"
