"""Deliveries in the store: claims are leases, and every write that ends one is fenced by its token."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bridge.errors import TemporaryFailure
from bridge.health import Health
from bridge.model import Event
from bridge.store import GIVE_WAY_SECONDS, Claim, ClaimRequest, Ending, schema
from bridge.store.arrivals import CROWD, CROWD_SECONDS
from bridge.store.bulk import insert_rows, update_rows
from bridge.store.deliveries import Attempt
from bridge.store.leases import is_dead, new_token
from bridge.store.pruning import prune_some
from bridge.testing import eventually
from tests.plugins_for_tests.rig import START, Chat, Gate, Rig, connector, rig

CHAT = connector(retry={"schedule": ["10h"]})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Rig]:
    """A store whose deliveries nobody makes: the connector is paused."""
    with rig(tmp_path, (CHAT, Chat())) as one:
        one.change_health("chat", Health.pause)
        one.settle()
        yield one


def request(
    rig: Rig, *, limit: int = 100, seconds: float = 30.0, token: str | None = None, probe: bool = False
) -> ClaimRequest:
    return ClaimRequest(("chat", ""), limit, token or rig.token, seconds, rig.clock.wall(), probe)


def claim(rig: Rig, **options: object) -> list[Claim]:
    return list(rig.store.claim(request(rig, **options)).claims)  # type: ignore[arg-type]  # as above


def delivered(claim: Claim, at: float = START) -> Ending:
    return Ending(claim, "delivered", at, Attempt(at, 0.1, "delivered"), health=Health.delivered)


def call_ids(claims: list[Claim]) -> list[str]:
    return [one.event.call.id for one in claims if one.event.call]


# --- claims -------------------------------------------------------------------------------------------------------


def test_a_claim_takes_the_oldest_that_is_due_first_and_no_more_than_the_limit(store: Rig) -> None:
    for number in range(5):
        store.clock.passed += 1
        store.miss(str(number))

    assert call_ids(claim(store, limit=3)) == ["0", "1", "2"]
    assert call_ids(claim(store, limit=3)) == ["3", "4"]
    assert claim(store) == []


def test_of_a_call_only_the_first_that_waits_is_claimed_and_the_rest_is_said_to_be_blocked(store: Rig) -> None:
    store.post("ringing", "1")
    store.post("answered", "1")
    store.post("ringing", "2")
    claimed = store.store.claim(request(store))

    assert sorted((one.event.type, one.event.call.id) for one in claimed.claims if one.event.call) == [
        ("call.ringing", "1"),
        ("call.ringing", "2"),
    ]
    assert claimed.blocked


def test_a_claim_says_when_something_more_becomes_due(store: Rig) -> None:
    store.miss("1")
    (one,) = claim(store)
    later = Ending(one, "pending", START, due_at=START + 77)
    store.store.conclude([later])

    assert store.store.claim(request(store)).next_due == START + 77


def test_a_lease_that_nobody_ends_is_over_by_itself(store: Rig) -> None:
    store.miss("1")
    claim(store, seconds=30)
    store.clock.passed += 29.9
    assert claim(store) == []
    store.clock.passed += 0.1

    assert len(claim(store)) == 1


def test_a_probe_is_refused_while_another_process_has_something_of_the_connector(store: Rig, tmp_path: Path) -> None:
    store.miss("1", "2")
    claim(store, limit=1, token="another/1/2/3")

    assert claim(store, limit=1, probe=True) == []
    store.clock.passed += 30
    assert len(claim(store, limit=1, probe=True)) == 1


def test_two_processes_never_claim_the_same_delivery(store: Rig, tmp_path: Path) -> None:
    store.miss(*map(str, range(200)))
    with rig(tmp_path, (CHAT, Chat()), clock=store.clock) as other:

        def claim_all(one: Rig) -> list[str]:
            ids: list[str] = []
            while claims := claim(one, limit=7):
                ids += [each.id for each in claims]
            return ids

        with ThreadPoolExecutor(2) as pool:
            mine, theirs = pool.map(claim_all, (store, other))

    assert len(mine) + len(theirs) == 200
    assert len({*mine, *theirs}) == 200


def test_two_processes_deliver_a_backlog_together_each_delivery_once(tmp_path: Path) -> None:
    mine, theirs = Chat(), Chat()
    with rig(tmp_path, (CHAT, mine)) as one, rig(tmp_path, (CHAT, theirs), clock=one.clock) as other:
        for each in (one, other):
            each.change_health("chat", Health.pause)
            each.settle()
        one.miss(*map(str, range(60)))
        one.change_health("chat", Health.resume)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Rig.settle, (one, other)))

        assert sorted(mine.call_ids + theirs.call_ids, key=int) == [str(number) for number in range(60)]
        assert one.states() == ["delivered"] * 60


def test_two_processes_count_the_same_failures(tmp_path: Path) -> None:
    down = TemporaryFailure("down")
    broken = connector(breaker={"failures": 5, "cooldown": ["30s"]}, retry={"schedule": ["10h"]})
    with rig(tmp_path, (broken, Chat(down))) as one, rig(tmp_path, (broken, Chat(down)), clock=one.clock) as other:
        for number in range(6):
            (one, other)[number % 2].miss(str(number))
            one.settle()
            other.settle()

        assert one.health().open_until == START + 30
        assert len(one.attempts()) == 5


def test_a_claim_by_who_does_not_know_of_a_pause_yet_is_refused(store: Rig) -> None:
    store.miss("1")
    known = store.health().version
    refused = store.store.claim(replace(request(store), health_version=known - 1))
    claimed = store.store.claim(replace(request(store), health_version=known))

    assert (refused.claims, refused.outdated) == ((), True)
    assert (len(claimed.claims), claimed.outdated) == (1, False)


# --- crowds -------------------------------------------------------------------------------------------------------


@pytest.mark.once
def test_a_delivery_gives_way_to_a_crowd_of_posts_for_a_moment_and_to_a_few_not_at_all(store: Rig) -> None:
    store.miss("1")
    began = time.monotonic()
    store.store.give_way()
    assert time.monotonic() - began < CROWD_SECONDS
    with ThreadPoolExecutor(4 * CROWD) as pool:
        eventually(lambda: [*pool.map(store.miss, map(str, range(4 * CROWD)))] and is_giving_way(store), "a crowd")


def is_giving_way(store: Rig) -> bool:
    began = time.monotonic()
    store.store.give_way()
    return 0.001 < time.monotonic() - began < 10 * GIVE_WAY_SECONDS


# --- endings ------------------------------------------------------------------------------------------------------


def test_many_endings_share_a_transaction_and_each_keeps_its_own(store: Rig, caplog: pytest.LogCaptureFixture) -> None:
    store.miss(*"123")
    first, second, third = claim(store)
    failed = Attempt(START, 0.2, "temporary", 503, "down", "busy")
    later = Ending(second, "pending", START, failed, step=1, due_at=START + 5, hold_until=START + 300, contact="null")
    dead = Ending(third, "dead", START, Attempt(START, 0.3, "permanent", 400, "no"), health=Health.resume)
    concluded = store.store.conclude([delivered(first), later, dead])

    assert [one.ours for one in concluded] == [True] * 3
    assert sorted(store.states()) == ["dead", "delivered", "pending"]
    assert sorted(row["outcome"] for row in store.attempts()) == ["delivered", "permanent", "temporary"]
    assert "one by one" not in caplog.text


@pytest.mark.once
def test_an_error_is_kept_until_the_delivery_goes_through(store: Rig) -> None:
    store.miss("1")
    (tried,) = claim(store)
    failed = Ending(tried, "pending", START, Attempt(START, 0.2, "temporary", None, "down"), step=1, due_at=START)
    store.store.conclude([failed])
    assert store.rows()[0]["last_error"] == "down"
    (again,) = claim(store)
    store.store.conclude([delivered(again)])
    assert store.rows()[0]["last_error"] is None


# --- fencing ------------------------------------------------------------------------------------------------------


def test_an_ending_that_comes_after_the_lease_changes_nothing(store: Rig) -> None:
    store.miss("1")
    (stale,) = claim(store, token="stopped/1/2/3")
    store.clock.passed += 60
    (fresh,) = claim(store)
    before = store.rows()
    (concluded,) = store.store.conclude([delivered(stale)])

    assert not concluded.ours
    assert (store.rows(), store.attempts()) == (before, [])
    assert store.store.conclude([delivered(fresh)])[0].ours
    assert store.states() == ["delivered"]


@pytest.mark.once
def test_two_claims_of_one_process_are_told_apart(store: Rig) -> None:
    store.miss("1")
    (stale,) = claim(store)
    store.clock.passed += 60
    (fresh,) = claim(store)

    assert not store.store.conclude([delivered(stale)])[0].ours
    assert store.store.conclude([delivered(fresh)])[0].ours


def test_a_statement_takes_as_many_rows_as_there_are(store: Rig) -> None:
    with store.store.reading() as connection:
        insert_rows(connection, schema.attempts, [attempt_row(number) for number in range(8000)])
        update_rows(connection, schema.attempts, [{"id": f"att_{number}", "error": "x"} for number in range(8000)])
        kept = connection.execute(select(func.count()).where(schema.attempts.c.error == "x")).scalar()

    assert kept == 8000


def attempt_row(number: int) -> dict[str, object]:
    times = {"started_at": 0.0, "seconds": 0.0}
    return {"id": f"att_{number}", "delivery_id": "dlv_1", "number": number, **times, "outcome": "temporary"}


def test_a_late_failure_does_not_reopen_what_its_successor_has_delivered_nor_count_for_the_breaker(store: Rig) -> None:
    store.change_health("chat", Health.resume)
    store.miss("1")
    (stale,) = claim(store, token="stopped/1/2/3")
    store.clock.passed += 60
    store.store.conclude([delivered(claim(store)[0])])
    failed = Ending(
        stale, "dead", START, Attempt(START, 1.0, "permanent"), health=lambda health: health.gone("HTTP 410")
    )
    (concluded,) = store.store.conclude([failed])

    assert not concluded.ours
    assert (store.states(), len(store.attempts())) == (["delivered"], 1)
    assert (store.health().paused_by, store.health().dead_untold) == (None, 0)


def test_a_late_release_does_not_take_the_lease_from_its_successor(store: Rig) -> None:
    store.miss("1")
    (stale,) = claim(store, token="stopped/1/2/3")
    store.clock.passed += 60
    (fresh,) = claim(store)
    store.give_back([stale])

    assert store.rows()[0]["lease"] == fresh.lease
    assert claim(store) == []


@pytest.mark.once
def test_what_is_released_is_due_at_once_and_has_lost_no_attempt(store: Rig) -> None:
    store.miss("1")
    store.give_back(claim(store))

    assert [(one.attempts, one.step) for one in claim(store)] == [(0, 0)]


# --- what a dead process leaves -----------------------------------------------------------------------------------


@pytest.mark.once
def test_the_claims_of_a_dead_process_are_taken_back_at_the_start_and_others_are_not(
    store: Rig, tmp_path: Path
) -> None:
    made = subprocess.run(
        [sys.executable, "-c", "from bridge.store.leases import new_token; print(new_token())"],
        capture_output=True,
        text=True,
        check=True,
    )
    store.miss("1", "2", "3")
    tokens = [made.stdout.strip(), "another boot.1/1/2/3", new_token()]
    for token in tokens:
        claim(store, limit=1, token=token, seconds=3600)
    with rig(tmp_path, (CHAT, Chat()), clock=store.clock):
        pass

    held = sorted(str(row["lease"]).rpartition(".")[0] for row in store.rows() if row["lease"])
    assert held == sorted(tokens[1:])
    assert len(claim(store)) == 1


@pytest.mark.once
def test_a_process_that_runs_is_not_dead_and_one_that_has_ended_is(tmp_path: Path) -> None:
    script = "import sys; from bridge.store.leases import new_token; print(new_token(), flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        token = process.stdout.readline().strip()
        assert not is_dead(token)
        process.stdin.close()
        eventually(lambda: is_dead(token), "the end of the process, which nobody has waited for")
    assert is_dead(token)


# --- age, and forgetting ------------------------------------------------------------------------------------------


def test_expiring_ends_what_is_too_old_but_not_what_is_under_way(store: Rig) -> None:
    store.miss("under way")
    claim(store, seconds=3600)
    store.miss("old")
    store.clock.passed += 100
    store.miss("new")

    assert store.store.expire("chat", START + 50) == 1
    assert sorted(zip(store.states(), (row["call_id"] for row in store.rows()), strict=True)) == [
        ("expired", "old"),
        ("pending", "new"),
        ("pending", "under way"),
    ]


def test_pruning_forgets_what_is_old_with_its_calls_and_attempts_and_keeps_what_waits(tmp_path: Path) -> None:
    tables = schema.events, schema.deliveries, schema.attempts, schema.calls
    gate = Gate()
    with rig(tmp_path, (CHAT, Chat(None, TemporaryFailure("down"), gate))) as bridge:
        bridge.miss("done")
        bridge.settle()
        bridge.miss("waits")
        bridge.settle()
        bridge.clock.passed += 3600
        bridge.miss("new")
        gate.wait_entered()
        gate.open()
        with bridge._database.writer.begin() as connection:
            counts = prune_some(connection, START + 1800)
        assert counts == {"attempts": 1, "deliveries": 1, "events": 1, "calls": 1, "quarantine": 0, "feed": 0}
        with bridge._database.writer.begin() as connection:
            assert not any(prune_some(connection, START + 1800).values())
        bridge.settle()

        assert [row["call_id"] for row in bridge.rows()] == ["waits", "new"]
        left = [bridge.select(select(func.count().label("n")).select_from(table))[0]["n"] for table in tables]
        assert left == [2, 2, 2, 2]


# --- one transaction ----------------------------------------------------------------------------------------------


def test_an_event_its_call_and_its_deliveries_are_kept_together_or_not_at_all(
    store: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(event: Event) -> list[tuple[str, str]]:
        raise LookupError("no route")

    monkeypatch.setattr(store.store._arrivals, "_route", broken)
    with pytest.raises(LookupError):
        store.miss("1")
    monkeypatch.undo()

    assert (store.rows(), store.events("call.missed")) == ([], [])
    assert store.select(select(schema.calls)) == []
    store.miss("1")
    assert [event.type for event in store.events("call.missed")] == ["call.missed"]
