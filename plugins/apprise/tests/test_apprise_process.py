"""The process that holds apprise: started when it is needed, never left behind, and no part of callbridge's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from callbridge_apprise import process
from callbridge_apprise.process import Worker

from bridge import TemporaryFailure
from bridge.testing import Answer, RecordingSink, eventually

JOB = {"title": "Kaçan çağrı", "body": "Arayan: Ayşe"}


@pytest.fixture
def worker() -> Iterator[Worker]:
    one = Worker()
    yield one
    one.stop()


def pid_of(worker: Worker) -> int:
    assert worker._process is not None
    return worker._process.pid


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_one_that_was_killed_is_started_again(worker: Worker, sink: RecordingSink) -> None:
    job = JOB | {"url": f"json://127.0.0.1:{sink.port}"}
    assert worker.ask(job, 20.0) == {}
    first = pid_of(worker)
    os.kill(first, signal.SIGKILL)
    eventually(lambda: not is_running(first), "the end of the process")

    assert worker.ask(job, 20.0) == {}
    assert pid_of(worker) != first
    assert len(sink.arrivals) == 2


def test_a_job_that_hangs_holds_up_no_other_and_is_killed_at_its_deadline(worker: Worker, sink: RecordingSink) -> None:
    sink.answer_with(lambda arrival: Answer(delay=10.0 if arrival.path == "/slow" else 0.0))
    quick = JOB | {"url": f"json://127.0.0.1:{sink.port}/quick"}
    assert worker.ask(quick, 20.0) == {}  # it runs
    failures: list[Exception] = []

    def hang() -> None:
        try:
            worker.ask(JOB | {"url": f"json://127.0.0.1:{sink.port}/slow"}, 1.5)
        except TemporaryFailure as failure:
            failures.append(failure)

    thread = threading.Thread(target=hang)
    thread.start()
    sink.wait_for(2)
    assert worker.ask(quick, 20.0) == {}
    assert failures == []
    thread.join(5)
    (words,) = [str(failure).partition(";")[0] for failure in failures]
    # The service's own timeout ends at the same moment as the process.
    assert words in ("it was not done within 1.5 s", "the service did not answer in time")


def test_it_lives_through_the_signals_of_a_service_manager_until_it_is_told_to_end(
    worker: Worker, sink: RecordingSink
) -> None:
    job = JOB | {"url": f"json://127.0.0.1:{sink.port}"}
    worker.ask(job, 20.0)
    pid = pid_of(worker)
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(pid, number)
    assert worker.ask(job, 20.0) == {}
    assert pid_of(worker) == pid

    worker.stop()
    assert not is_running(pid)


def test_a_kill_of_callbridge_leaves_none_behind() -> None:
    code = """
import time
from callbridge_apprise.process import Worker
worker = Worker()
worker.ask({"url": "json://localhost"}, 10.0)
print(worker._process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.kill()
    eventually(lambda: not is_running(pid), "the end of the process")


def test_one_that_cannot_run_is_a_temporary_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "worker.py"
    broken.write_text("import no_such_module")
    monkeypatch.setattr(process, "PROGRAM", broken)
    worker = Worker()

    with pytest.raises(TemporaryFailure, match="ended without an answer: is apprise installed"):
        worker.ask({"url": "json://localhost"}, 20.0)
    worker.stop()


def test_callbridge_itself_never_loads_apprise() -> None:
    code = """
import logging, sys
from bridge.testing import connector_context
from callbridge_apprise import bridge_connectors
(kind,) = bridge_connectors()
connector = kind.create(kind.settings(urls=["json://localhost"]), connector_context())
connector.bridge_stop()
print("apprise" in sys.modules, "apprise" in logging.root.manager.loggerDict)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("False False\n", "")
