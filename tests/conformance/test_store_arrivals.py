"""Posts of one call that come to several processes at the same time, and texts no database should have to keep."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import select

from bridge.store import schema
from tests.plugins_for_tests.rig import Chat, connector, rig

ENDINGS = ("call.completed", "call.missed", "call.unanswered")


def test_a_call_ends_once_however_many_processes_hear_of_its_end_at_the_same_time(tmp_path: Path) -> None:
    calls = [f"call-{number}" for number in range(20)]
    with ExitStack() as stack:
        first = stack.enter_context(rig(tmp_path, (connector(), Chat())))
        bridges = [first, *(stack.enter_context(rig(tmp_path, (connector(), Chat()), clock=first.clock)) for _ in "23")]
        start = threading.Barrier(6)

        def hang_up(sender: int) -> None:
            start.wait()
            # Each in an order of its own; no two posts are the same form.
            for call_id in calls[sender * 3 :] + calls[: sender * 3]:
                bridges[sender % 3].keep("hangup", call_id, dialed_user=str(1000 + sender))

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(hang_up, range(6)))
        rows = first.select(select(schema.events.c.type, schema.events.c.call_key))
        kept = first.select(select(schema.calls.c.call_id, schema.calls.c.events))

    assert sum(row["type"] in ENDINGS for row in rows) == len(calls)
    assert len({row["call_key"] for row in rows if row["type"] in ENDINGS}) == len(calls)
    assert {row["call_id"]: row["events"] for row in kept} == dict.fromkeys(calls, 6)
    assert len(rows) == 6 * len(calls)


def test_the_first_posts_of_many_calls_come_to_two_processes_in_any_order_and_nobody_waits_for_ever(
    tmp_path: Path,
) -> None:
    calls = [f"call-{number}" for number in range(100)]
    with rig(tmp_path, (connector(), Chat())) as one, rig(tmp_path, (connector(), Chat()), clock=one.clock) as other:
        with ThreadPoolExecutor(16) as pool:
            jobs = [pool.submit(one.keep, "ringing", call_id) for call_id in calls]
            jobs += [pool.submit(other.keep, "answered", call_id) for call_id in reversed(calls)]
            for job in jobs:
                job.result(20)
        assert {row["events"] for row in one.select(select(schema.calls.c.events))} == {2}


def test_a_call_id_with_a_nul_in_it_is_kept(tmp_path: Path) -> None:
    with rig(tmp_path, (connector(), chat := Chat())) as bridge:
        bridge.miss("a\0b")
        bridge.settle()
        assert bridge.states() == ["delivered"]
        assert chat.call_ids == ["a\0b"]
