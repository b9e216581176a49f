"""The notebook: the contract of every connector, and what is the notebook's own."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import callbridge_notebook
import pytest
from callbridge_notebook import Notebook, NotebookSettings

from bridge import Delivery, DeliveryFailure, Event, Misconfigured, TemporaryFailure
from bridge.testing import (
    ConnectorContract,
    ConnectPbx,
    Place,
    StartBridge,
    connector_context,
    eventually,
    sample_event,
)


class TestContract(ConnectorContract):
    """A file speaks no HTTP and is not waited for; it has its own ways to fail."""

    (kind,) = callbridge_notebook.bridge_connectors()
    failures: ClassVar[Mapping[str, type[DeliveryFailure]]] = {
        "the folder is gone": Misconfigured,
        "a folder is in its place": Misconfigured,
        "the disk is full": TemporaryFailure,
    }
    delays = ()

    def settings(self, place: Place) -> dict[str, object]:
        return {"path": str(place.folder / "office" / "calls.txt")}

    def prepare(self, place: Place) -> None:
        (place.folder / "office").mkdir()

    def bring_about(self, what: str, place: Place) -> None:
        file = place.folder / "office" / "calls.txt"
        if what == "the folder is gone":
            shutil.rmtree(file.parent)
        elif what == "a folder is in its place":
            file.mkdir()
        else:
            self._monkeypatch.setattr(Path, "open", on_a_full_disk)

    @pytest.fixture(autouse=True)
    def _with_a_disk(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def copies(self, event: Event, place: Place) -> int:
        return (place.folder / "office" / "calls.txt").read_text("utf-8").count(event.id)


def on_a_full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def deliver(path: Path, caller: str) -> str:
    event = sample_event()
    assert event.call is not None
    event = sample_event(caller=event.call.caller.model_copy(update={"display": caller}))
    notebook = Notebook(NotebookSettings(path=path), connector_context("log"))
    notebook.bridge_deliver(Delivery(id="dlv_1", connector="log", target="", attempt=1, event=event))
    return path.read_text("utf-8")


def test_an_event_is_a_line_with_its_id(tmp_path: Path) -> None:
    line = deliver(tmp_path / "calls.txt", caller="02123205062")

    assert line == "2026-11-24 09:00:21 call.missed '02123205062' evt_sample\n"


def test_a_caller_cannot_write_lines_of_his_own(tmp_path: Path) -> None:
    assert len(deliver(tmp_path / "calls.txt", caller="x\n2026-11-24 call.completed").splitlines()) == 1


def test_each_type_of_event_is_a_line(each_event: Event, tmp_path: Path) -> None:
    notebook = Notebook(NotebookSettings(path=tmp_path / "calls.txt"), connector_context("log"))
    notebook.bridge_deliver(Delivery(id="dlv_1", connector="log", target="", attempt=1, event=each_event))

    assert each_event.type in (tmp_path / "calls.txt").read_text("utf-8")


def test_a_call_to_a_bridge_ends_up_in_the_notebook(
    tmp_path: Path, start_bridge: StartBridge, fake_pbx: ConnectPbx
) -> None:
    file = tmp_path / "calls.txt"
    bridge = start_bridge(f'[connectors.log]\nkind = "notebook"\non = ["call.missed"]\npath = "{file}"\n')
    fake_pbx(bridge).play("missed")

    assert "call.missed" in eventually(lambda: file.exists() and file.read_text("utf-8"), "the line")
