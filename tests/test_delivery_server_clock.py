"""On PostgreSQL all go by the server's clock: that of a machine may be set, and what waits moves along with the
server's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import delete

from bridge.errors import StoreError, TemporaryFailure
from bridge.store import Database, schema
from bridge.store.dialects import listener
from bridge.store.serverclock import NOTICED_SECONDS, ServerClock
from bridge.testing import eventually
from tests.plugins_for_tests.cluster import Cluster
from tests.plugins_for_tests.rig import Chat, Clock, Gate, Rig, ToldClock, connector, rig

HOUR = 3600.0
DOWN = TemporaryFailure("down")
RETRY = {"schedule": [30, 30], "jitter": 0}

both_ways = pytest.mark.parametrize("hours", [-1, 1], ids=["back", "forward"])


class Machine(Clock):
    """Its wall clock may be set; time passes as for the server."""

    def __init__(self, server: Clock) -> None:
        self._server = server
        super().__init__()

    @property
    def passed(self) -> float:
        return self._server.passed

    @passed.setter
    def passed(self, seconds: float) -> None:
        self._server.passed = seconds


@pytest.fixture
def server(cluster: Cluster, tmp_path: Path) -> Clock:
    """The clock of the server that rigs in `tmp_path` use."""
    (tmp_path / "store.url").write_text(cluster.emptied_database(), "utf-8")
    return Clock()


@pytest.fixture
def process(server: Clock, tmp_path: Path) -> Callable[..., object]:
    """Makes a process on a machine of its own, whose wall clock is set by so many seconds."""

    def make(chat: Chat, set_by: float = 0.0, **settings: object) -> object:
        machine = Machine(server)
        machine.set_by = set_by
        return rig(tmp_path, (connector(retry=RETRY, **settings), chat), clock=machine, server=server)

    return make


def look(*processes: Rig) -> None:
    """Each asks what time it is and dispatches once, one after the other."""
    for one in processes:
        one.ask_time()
        one.dispatcher.run_once()


# --- the clock of a machine ---------------------------------------------------------------------------------------


@both_ways
def test_a_machine_whose_clock_is_set_claims_nothing_early_repeats_nothing_and_stalls_nothing(
    process: Callable[..., object], hours: int
) -> None:
    gate = Gate()
    first, second = Chat(DOWN, gate, None), Chat()
    with process(first) as one, process(second) as two:
        one.miss("retry")
        one.settle()
        one.miss("under way")
        gate.wait_entered()
        before = one.rows()
        two.clock.set_by = hours * HOUR
        look(two, two)
        assert (second.got, one.rows()) == ([], before)

        two.miss("new")
        eventually(lambda: second.call_ids == ["new"])
        gate.open()
        two.settle()
        two.advance(29)
        assert len(first.got + second.got) == 3
        two.advance(2)
        assert (second.call_ids, len(first.got)) == (["new", "retry"], 2)
        assert two.states() == ["delivered"] * 3


@both_ways
def test_a_process_that_starts_on_a_machine_with_a_wrong_clock_goes_by_the_servers(
    process: Callable[..., object], hours: int
) -> None:
    with process(Chat(DOWN)) as one:
        one.miss()
        one.settle()
    chat = Chat()
    with process(chat, set_by=hours * HOUR) as two:
        two.settle()
        assert chat.got == []
        two.advance(31)
        assert two.states() == ["delivered"]


# --- the clock of the server --------------------------------------------------------------------------------------


@both_ways
def test_what_waits_moves_along_with_the_servers_clock_once_though_all_processes_see_it(
    process: Callable[..., object], server: Clock, hours: int
) -> None:
    first, second = Chat(DOWN, None), Chat()
    with process(first) as one, process(second) as two:
        one.miss()
        one.settle()
        (before,) = one.rows()
        server.set_by = hours * HOUR
        look(one, two)
        assert one.rows()[0]["due_at"] == before["due_at"]  # not all need have seen it by now
        server.passed += NOTICED_SECONDS
        look(one, two, one, two)

        (after,) = one.rows()
        for name in ("due_at", "hold_until", "fresh_from"):
            assert after[name] == before[name] + hours * HOUR
        assert len(first.got + second.got) == 1
        server.passed += 29 - NOTICED_SECONDS
        look(one, two)
        assert len(first.got + second.got) == 1
        two.advance(2)
        assert two.states() == ["delivered"]


@both_ways
def test_nothing_is_written_or_claimed_in_the_old_time_once_what_waits_has_moved(
    process: Callable[..., object], server: Clock, hours: int
) -> None:
    def fail(batch: Sequence[object]) -> None:
        gate(batch)
        raise DOWN

    gate = Gate()
    first, second = Chat(DOWN), Chat(fail, None)
    with process(first) as one, process(second, concurrency=1, max_age="50m") as two:
        one.miss("retry")
        one.settle()
        two.miss("under way")
        gate.wait_entered()
        server.set_by = hours * HOUR
        look(one, two)
        server.passed += NOTICED_SECONDS
        one.dispatcher.run_once()
        # The other one has not looked since.
        two.dispatcher.run_once()
        accepted = [two.post("hangup", str(number)) for number in range(20)]
        assert len(second.got) == 1
        gate.open()
        two.settle()

        now = server.wall()
        assert any(one.dues.waiting for one in accepted)
        assert sorted(row["call_id"] for row in two.rows() if row["state"] == "pending") == ["retry"]
        assert all(abs(row["fresh_from"] - now) < 60 for row in two.rows())
        assert sum(abs(row["started_at"] - now) > 60 for row in two.attempts()) == 1  # that before the jump
        two.advance(31)
        assert set(two.states()) == {"delivered"}


def test_a_clock_that_was_set_back_while_no_bridge_ran_stalls_nothing(
    process: Callable[..., object], server: Clock
) -> None:
    with process(Chat(DOWN)) as one:
        one.miss()
        one.settle()
        beat(one, server.wall())
    server.set_by = -HOUR
    chat = Chat()
    with process(chat) as two:
        two.settle()
        assert chat.got == []
        two.advance(NOTICED_SECONDS)
        look(two)
        two.advance(31 - NOTICED_SECONDS)
        assert two.states() == ["delivered"]


def beat(bridge: Rig, at: float) -> None:
    """What the listener of the one that leads does once a second."""
    with bridge._database.writer.begin() as connection:
        connection.execute(delete(schema.heartbeat))
        connection.execute(schema.heartbeat.insert().values(name="clock", beat_at=at))


# --- the listener -------------------------------------------------------------------------------------------------


@pytest.fixture
def clock(server: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerClock]:
    """The clock of a process whose listener leads."""
    monkeypatch.setattr(listener, "LOOK_SECONDS", 0.2)
    database = Database((tmp_path / "store.url").read_text("utf-8"))
    database.clock = ToldClock(server, Machine(server))
    watch = database.watch(lambda *_: None)
    watch.start()
    eventually(watch.leads)
    yield database.clock
    watch.stop()
    database.close()


def test_the_listener_of_who_leads_says_by_which_time_all_go_and_sees_the_servers_clock_jump(
    clock: ServerClock, server: Clock, cluster: Cluster, tmp_path: Path
) -> None:
    name = (tmp_path / "store.url").read_text("utf-8").rpartition("/")[2]

    def beats() -> list[float]:
        return [at for (at,) in cluster.execute("SELECT beat_at FROM heartbeat WHERE name = 'clock'", name)]

    eventually(lambda: beats() == [server.wall()])
    server.set_by = HOUR
    eventually(lambda: clock.jump == HOUR)
    assert beats() == [clock()] == [server.wall() - HOUR]
    clock.follow(HOUR)
    eventually(lambda: beats() == [server.wall()])


def test_a_machine_that_was_halted_until_the_server_gave_it_up_takes_that_for_time_that_has_passed(
    clock: ServerClock, server: Clock, cluster: Cluster
) -> None:
    eventually(lambda: clock() == server.wall())
    cluster.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%1%' AND pid <> pg_backend_pid()"
    )
    server.set_by = HOUR
    eventually(lambda: clock() == server.wall())
    assert clock.jump == 0.0


# --- the clock by itself ------------------------------------------------------------------------------------------


def test_a_machine_that_slept_goes_by_the_time_the_others_go_by() -> None:
    machine = Clock()
    clock = ServerClock(machine.wall, machine.monotonic)
    clock.ask(lambda _columns: (1000.0, 1000.0))
    clock.ask(lambda _columns: (4600.0, 4599.0))
    assert (clock(), clock.jump) == (4600.0, 0.0)


def test_an_answer_that_takes_long_is_no_jump() -> None:
    machine = Clock()
    clock = ServerClock(machine.wall, machine.monotonic)
    clock.ask(lambda _columns: (1000.0, None))

    def slow(_columns: str) -> tuple[float, None]:
        machine.passed += 60
        return 1003.0, None

    clock.ask(slow)
    assert (clock(), clock.jump) == (1060.0, 0.0)


def test_while_the_server_does_not_answer_the_last_answer_holds_whatever_the_wall_clock_says() -> None:
    machine = Clock()
    clock = ServerClock(machine.wall, machine.monotonic)
    clock.ask(lambda _columns: (1000.0, None))

    def lost(_columns: str) -> tuple[float, None]:
        raise StoreError("the connection is lost")

    machine.passed, machine.set_by = 10.0, HOUR
    with pytest.raises(StoreError):
        clock.ask(lost)
    assert clock() == 1010.0
