"""What takes its process down with it: the next process tries it again alone, and ends it after the third time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import update

from bridge.delivery.recorder import FlightRecorder, Suspect
from bridge.delivery.trials import MOST_KILLS
from bridge.errors import TemporaryFailure
from bridge.store import schema
from bridge.testing import eventually
from tests.plugins_for_tests.rig import Chat, Gate, Rig, connector, rig


def die_with(recorder: FlightRecorder, *deliveries: str) -> None:
    """What is left of a process that dies while it delivers these."""
    for delivery in deliveries:
        recorder._begin(delivery)


# --- the recorder -------------------------------------------------------------------------------------------------


def test_what_returns_is_no_suspect_whatever_it_raises() -> None:
    recorder = FlightRecorder()
    with recorder.flight(["dlv_1"]):
        pass
    with pytest.raises(SystemExit), recorder.flight(["dlv_2"]):
        raise SystemExit
    assert recorder.take_over() == []


def test_what_dies_among_others_is_a_suspect_and_what_dies_alone_has_killed() -> None:
    recorder = FlightRecorder()
    die_with(recorder, "dlv_1", "dlv_2")
    assert recorder.take_over() == [Suspect("dlv_1", 0), Suspect("dlv_2", 0)]
    alone = FlightRecorder()
    die_with(alone, "dlv_1")
    assert alone.take_over() == [Suspect("dlv_1", 1)]


def test_in_a_trial_the_suspect_has_done_it_though_others_were_under_way() -> None:
    recorder = FlightRecorder()
    die_with(recorder, "dlv_1", "dlv_2")
    recorder.take_over()
    recorder.try_alone("dlv_2")
    die_with(recorder, "dlv_2", "dlv_new")
    assert recorder.take_over() == [Suspect("dlv_1", 0), Suspect("dlv_new", 0), Suspect("dlv_2", 1)]


def test_who_survives_or_is_acquitted_begins_anew() -> None:
    recorder = FlightRecorder()
    die_with(recorder, "dlv_1", "dlv_2")
    recorder.take_over()
    with recorder.flight(["dlv_1"]):
        pass
    recorder.acquit("dlv_2")
    recorder.acquit("dlv_unknown")
    assert recorder.take_over() == []


def test_more_than_can_be_noted_is_tried_all_the_same() -> None:
    recorder = FlightRecorder()
    with recorder.flight([f"dlv_{number}" for number in range(2000)]):
        pass
    assert recorder.take_over() == []


def test_an_orderly_end_leaves_no_suspects() -> None:
    recorder = FlightRecorder()
    die_with(recorder, "dlv_1")
    recorder.clear()
    assert recorder.take_over() == []


# --- the trials ---------------------------------------------------------------------------------------------------


@contextmanager
def after_a_crash(folder: Path, chat: Chat, *, suspects: tuple[str, ...], kills: int = 0) -> Iterator[Rig]:
    """A process whose predecessor died while it delivered calls to the chat; each of them has killed so often before.
    The CRM had nothing under way."""
    chats = (connector("chat"), chat), (connector("crm"), Chat())
    recorder = FlightRecorder()
    with rig(folder, *chats) as before:
        for call in suspects:
            before.keep("hangup", call)
        due = update(schema.deliveries).values(lease=None, due_at=before.clock.wall())
        with before._database.writer.begin() as connection:
            connection.execute(due)
        ids = [row["id"] for row in before.rows("chat")]
    die_with(recorder, *ids)
    for _ in range(kills):
        recorder.take_over()
        recorder.try_alone(ids[0])
        die_with(recorder, ids[0])
    with rig(folder, *chats, recorder=recorder) as now:
        now.dispatcher.start()
        yield now


def test_what_was_under_way_is_tried_again_one_at_a_time_and_then_all_goes_on(tmp_path: Path) -> None:
    gate = Gate()
    chat = Chat(gate, None)
    with after_a_crash(tmp_path, chat, suspects=("1", "2", "3")) as bridge:
        gate.wait_entered()
        bridge.miss("4")
        eventually(lambda: bridge.states("crm") == ["delivered"] * 4, "the deliveries of another connector")
        assert (len(chat.got), bridge.states("chat")) == (1, ["pending"] * 4)
        gate.open()
        eventually(lambda: bridge.states("chat") == ["delivered"] * 4, "the others, one by one")
        bridge.miss("5", "6")
        eventually(lambda: bridge.states("chat") == ["delivered"] * 6)

        assert (sorted(chat.call_ids[:3]), chat.call_ids[3]) == (["1", "2", "3"], "4")
        assert sorted(chat.call_ids) == ["1", "2", "3", "4", "5", "6"]


def test_what_killed_its_process_three_times_alone_is_dead_with_the_reason_and_held_up_nothing(tmp_path: Path) -> None:
    chat = Chat()
    with after_a_crash(tmp_path, chat, suspects=("1", "2"), kills=MOST_KILLS) as bridge:
        eventually(lambda: bridge.states("chat") == ["dead", "delivered"], "the end of both")

        assert chat.call_ids == ["2"]
        assert "died 3 times while this alone was tried" in bridge.rows("chat")[0]["last_error"]
        assert [row["outcome"] for row in bridge.attempts("chat")].count("permanent") == 1
        assert bridge.health("chat").failures == 0


def test_what_has_killed_less_often_is_tried_once_more(tmp_path: Path) -> None:
    chat = Chat()
    with after_a_crash(tmp_path, chat, suspects=("1", "2"), kills=MOST_KILLS - 1) as bridge:
        eventually(lambda: bridge.states("chat") == ["delivered"] * 2)

        assert chat.call_ids == ["2", "1"]  # the least suspected first


def test_a_trial_that_fails_in_the_usual_way_ends_it(tmp_path: Path) -> None:
    failure = TemporaryFailure("down")
    with after_a_crash(tmp_path, Chat(failure, None), suspects=("1", "2")) as bridge:
        eventually(lambda: sorted(bridge.states("chat")) == ["delivered", "pending"], "the second trial")


def test_what_somebody_else_has_ended_meanwhile_is_not_tried(tmp_path: Path) -> None:
    recorder = FlightRecorder()
    die_with(recorder, "dlv_unknown", "dlv_gone")
    chat = Chat()
    with rig(tmp_path, (connector(), chat), recorder=recorder) as bridge:
        bridge.dispatcher.start()
        bridge.miss("1")
        eventually(lambda: bridge.states() == ["delivered"])

        assert chat.call_ids == ["1"]
