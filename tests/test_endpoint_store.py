"""200 means that it is on disk; what cannot be stored is never called taken."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from bridge.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Desk

FORM = {"call_uuid": "1", "event_type": "hangup", "direction": "inbound", "answered": "false"}


@pytest.fixture(params=["accept", "keep_aside"])
def refusing(request: pytest.FixtureRequest, open_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk whose store takes nothing."""
    desk: Desk = open_desk()

    def refuse(_: Any, then: Callable[[Exception], None]) -> None:
        then(StoreError("the store cannot be used (/var/x.db): database or disk is full"))

    monkeypatch.setattr(desk.bridge.store, request.param, refuse)
    return desk


def test_what_cannot_be_stored_is_answered_503_in_text(refusing: Desk) -> None:
    answers = [refusing.post(FORM), refusing.post({"call_uuid": "1"})]
    (refused,) = [answer for answer in answers if answer.status_code not in (200, 400)]
    assert (refused.status_code, refused.text) == (503, "the call event cannot be stored right now")
    assert refused.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert refusing.post(b"{}").text == "ok"


def test_a_locked_store_is_answered_503_and_the_bridge_recovers(
    open_desk: Callable[..., Desk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.store.dialects.sqlite.BUSY_SECONDS", 0.2)
    desk = open_desk()
    with closing(sqlite3.connect(tmp_path / "desk.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer, ready = desk.post(FORM), desk.client.get("/readyz")
        other.execute("ROLLBACK")
    assert (answer.status_code, answer.text) == (503, "the call event cannot be stored right now")
    reason = f"the store cannot be used ({tmp_path / 'desk.db'}): database is locked"
    assert (ready.status_code, ready.json["status"], ready.json["reasons"]) == (503, "unready", [reason])
    assert desk.events() == []
    assert desk.post(FORM).text == "1"
    assert desk.client.get("/readyz").status_code == 200
    assert desk.types() == ["call.missed"]


def test_a_post_that_is_answered_is_there_for_everybody_to_see(open_desk: Callable[..., Desk], tmp_path: Path) -> None:
    desk = open_desk('[connectors.c]\nkind = "webhook"\non = ["call.missed"]\nurl = "http://127.0.0.1:1/"')
    with closing(sqlite3.connect(tmp_path / "desk.db")) as other:
        for number in range(20):
            assert desk.post({**FORM, "call_uuid": str(number)}).status_code == 200
            for table in ("events", "calls", "deliveries"):
                assert other.execute(f"SELECT count(*) FROM {table}").fetchone() == (number + 1,)


def test_what_is_committed_is_synced_to_disk(open_desk: Callable[..., Desk]) -> None:
    with open_desk().bridge.database.writer.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_posts_at_the_same_time_are_each_answered_with_their_own_call(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    start = threading.Barrier(8)

    def post_some(sender: int) -> list[bool]:
        start.wait()
        ids = [f"{sender}-{number}" for number in range(10)]
        return [desk.post({**FORM, "call_uuid": one}).text == one for one in ids]

    with ThreadPoolExecutor(8) as pool:
        assert all(all(answers) for answers in pool.map(post_some, range(8)))
    assert desk.types() == ["call.missed"] * 80


@pytest.mark.parametrize("tell_apart", [False, True])
def test_hangups_of_one_call_at_the_same_time_make_one_ending(
    open_desk: Callable[..., Desk], *, tell_apart: bool
) -> None:
    desk = open_desk()
    start = threading.Barrier(8)

    def post_one(sender: int) -> str:
        start.wait()
        return desk.post({**FORM, "dialed_user": str(1000 + sender * tell_apart)}).text

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(post_one, range(8))) == {"1"}
    assert sorted(desk.types()) == ["call.missed", *["other"] * (7 if tell_apart else 0)]


def test_the_schema_is_alembics_from_the_first_table_on(open_desk: Callable[..., Desk]) -> None:
    with open_desk().bridge.database.reader.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM alembic_version").scalar() == 1
