"""What all processes on one store have in common: the rate of a target, one that leads, and what dead ones leave."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.delivery.dispatcher import LOOK_AGAIN
from bridge.errors import TemporaryFailure
from bridge.store import Database
from bridge.store.dialects import listener
from bridge.testing import eventually
from tests.plugins_for_tests.rig import Chat, Rig, connector, rig

DEAD = "elsewhere/1/1/dead"


def test_all_processes_share_the_rate_of_a_target_and_spend_no_attempt_on_it(tmp_path: Path) -> None:
    mine, theirs = Chat(), Chat()
    limited = connector(rate="3/m")
    with rig(tmp_path, (limited, mine)) as one, rig(tmp_path, (limited, theirs), clock=one.clock) as other:
        for number in range(4):
            one.miss(f"a{number}")
            other.miss(f"b{number}")
        counts = []
        for seconds in (0, 59, 1, 60):
            one.clock.passed += seconds
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(Rig.settle, (one, other)))
            counts.append(len(mine.got) + len(theirs.got))

        assert counts == [3, 3, 6, 8]
        assert {row["attempts"] for row in one.rows()} == {1}


def test_a_rate_outlives_the_process(tmp_path: Path) -> None:
    chat, clock = Chat(), None
    for _ in range(2):
        with rig(tmp_path, (connector(rate="1/m"), chat), clock=clock) as bridge:
            clock = bridge.clock
            bridge.miss("1", "2")
            bridge.settle()
    assert len(chat.got) == 1


def test_all_processes_share_the_breaker_of_a_target(tmp_path: Path) -> None:
    mine, theirs = Chat(TemporaryFailure("down")), Chat()
    fragile = connector(breaker={"failures": 2, "cooldown": [30]}, retry={"schedule": ["10h"]})
    with rig(tmp_path, (fragile, mine)) as one, rig(tmp_path, (fragile, theirs), clock=one.clock) as other:
        for number in range(2):
            one.miss(f"a{number}")
            one.settle()
        other.settle()  # it has heard of that
        other.miss("b")
        other.settle()
        assert (len(mine.got), len(theirs.got)) == (2, 0)
        other.advance(30)

        assert len(theirs.got) == 1
        assert other.states() == ["pending", "pending", "delivered"]


def test_what_a_process_had_claimed_that_died_is_taken_back_by_one_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = Chat()
    with rig(tmp_path, (connector(), chat)) as bridge:
        other = bridge.store
        monkeypatch.setattr(other._arrivals, "_leasing", replace(other._arrivals._leasing, token=DEAD))
        bridge.keep("hangup")
        monkeypatch.setattr("bridge.store.is_dead", lambda lease: lease.startswith(DEAD))
        bridge.clock.passed += LOOK_AGAIN
        bridge.dispatcher.run_once()
        bridge.settle()
        assert bridge.states() == ["delivered"]


@pytest.mark.once
def test_another_one_leads_when_the_leader_has_been_stopped_for_long(store_url: str, tmp_path: Path) -> None:
    database = Database(store_url)
    leader, other = (database.watch(lambda _kind, _name: None) for _ in range(2))
    assert (leader.leads(), other.leads()) == (True, False)
    os.utime(tmp_path / "rig.db.leader", (0, 0))  # as long as it is stopped, it does not touch it
    assert other.leads()
    assert (leader.leads(), other.leads()) == (True, False)
    leader.stop()
    other.stop()
    database.close()


def test_one_of_several_leads_and_another_one_as_soon_as_it_is_gone(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "LOOK_SECONDS", 0.1)
    database = Database(store_url)
    watches = [database.watch(lambda _kind, _name: None) for _ in range(3)]
    for watch in watches:
        watch.start()
    for left in (3, 2, 1):
        (leader,) = eventually(lambda: [watch for watch in watches if watch.leads()], f"who leads {left}")
        leader.stop()
        watches.remove(leader)
    database.close()
