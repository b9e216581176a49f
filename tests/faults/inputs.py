"""Whatever is posted, the endpoint answers as it promises: 200 for what is kept, 400 for what is kept aside, 413 for
what is too large; never 500, and nothing it does not keep is called taken."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.conftest import Desk
from tests.faults.judge import Verdict

FORM = "application/x-www-form-urlencoded"
CONTENT_TYPES = (
    FORM,
    "application/json",
    "multipart/form-data; boundary=x",
    "text/plain",
    "",
    FORM + "; charset=utf-16",
)


def check_post(desk: Desk, body: bytes, content_type: str) -> None:
    """Post it, and hold the answer against what is kept. Raises AssertionError."""
    events, aside = _count(desk, "events"), _count(desk, "quarantine")
    answer = desk.post(body, content_type=content_type)
    kept = _count(desk, "events") - events, _count(desk, "quarantine") - aside
    assert answer.status_code in (200, 400, 413), answer.status_code
    assert answer.mimetype == "text/plain"
    assert "\n" not in answer.text or answer.status_code == 200
    # A repeat of what was posted before is taken and changes nothing; so is what the PBX posts to try the URL.
    assert kept in {200: [(1, 0), (0, 0)], 400: [(0, 1)], 413: [(0, 0)]}[answer.status_code], (kept, answer.text)
    if kept == (1, 0):
        assert answer.text


def _count(desk: Desk, table: str) -> int:
    with desk.bridge.store.reading() as connection:
        count: int = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
        return count


def fuzz(folder: Path, seconds: int) -> Verdict:
    """A coverage-guided run of atheris over the endpoint, in a process of its own."""
    fault = "input by a coverage-guided fuzzer"
    if find_spec("atheris") is None:
        return Verdict(fault, note="not played: atheris is not installed (pip install atheris)")
    folder.mkdir(parents=True, exist_ok=True)
    corpus = folder / "corpus"
    corpus.mkdir()
    (corpus / "sample").write_bytes(b"\0event_type=hangup&domain_id=101&direction=inbound&call_uuid=1&answered=false")
    run = [sys.executable, "-m", "tests.faults.fuzzing", str(folder), str(corpus), f"-max_total_time={seconds}"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    said = done.stderr.strip().splitlines()
    if done.returncode != 0:
        return Verdict(fault, wrong=["\n".join(said[-30:])])
    runs = next((line for line in reversed(said) if line.startswith("Done ")), said[-1])
    return Verdict(fault, note=runs.lower())
