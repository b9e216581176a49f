"""The notebook, driven as the core drives it: settings, context, a delivery."""

from __future__ import annotations

from pathlib import Path

import pytest
from callbridge_notebook import Notebook, NotebookSettings

from bridge import Delivery, Misconfigured
from bridge.testing import connector_context, sample_event


def deliver(path: Path, caller: str = "02123205062") -> str:
    event = sample_event()
    assert event.call is not None
    event = sample_event(caller=event.call.caller.model_copy(update={"display": caller}))
    notebook = Notebook(NotebookSettings(path=path), connector_context("log"))
    return notebook.bridge_deliver(Delivery(id="dlv_1", connector="log", target="", attempt=1, event=event)).text


def test_every_event_is_a_line_with_its_id(tmp_path: Path) -> None:
    file = tmp_path / "calls.txt"

    assert [deliver(file), deliver(file)] == [str(file), str(file)]

    first, second = file.read_text("utf-8").splitlines()
    assert first == second == "2026-11-24 09:00:21 call.missed '02123205062' evt_sample"


def test_a_caller_cannot_write_lines_of_his_own(tmp_path: Path) -> None:
    deliver(tmp_path / "calls.txt", caller="x\n2026-11-24 call.completed")

    assert len((tmp_path / "calls.txt").read_text("utf-8").splitlines()) == 1


def test_a_folder_that_is_not_there_asks_for_the_config_to_be_mended(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="mend `path`"):
        deliver(tmp_path / "missing" / "calls.txt")
