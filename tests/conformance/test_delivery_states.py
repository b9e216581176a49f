"""What becomes of a delivery: delivered, tried again, dead, skipped or expired; and what is kept of each try."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.errors import DeliveryFailure, PermanentFailure, TemporaryFailure
from bridge.model import Receipt, Skip
from tests.plugins_for_tests.rig import START, Chat, connector, rig


def test_a_delivery_ends_with_its_receipt(tmp_path: Path) -> None:
    chat = Chat(Receipt(text="message 7", status=200, answer="thanks"))
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.miss()
        bridge.settle()

        (row,) = bridge.rows()
        assert (row["state"], row["attempts"], row["receipt"], row["last_error"]) == ("delivered", 1, "message 7", None)
        assert chat.types == ["call.missed"]
        assert chat.got[0].event == bridge.events("call.missed")[0]


@pytest.mark.once
def test_each_of_several_connectors_gets_the_event(tmp_path: Path) -> None:
    chat, crm, other = Chat(), Chat(), Chat()
    chats = (
        (connector("chat"), chat),
        (connector("crm", on=["call.missed"]), crm),
        (connector("other", on=["other"]), other),
    )
    with rig(tmp_path, *chats) as bridge:
        bridge.miss()
        bridge.settle()

        assert (chat.types, crm.types, other.types) == (["call.missed"], ["call.missed"], [])


@pytest.mark.once
def test_what_a_plugin_skips_is_skipped_with_the_reason_and_not_tried_again(tmp_path: Path) -> None:
    chat = Chat(Skip("not for the night shift"))
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.miss()
        bridge.settle()
        bridge.advance(3600)

        (row,) = bridge.rows()
        assert (row["state"], row["receipt"], row["attempts"]) == ("skipped", "not for the night shift", 1)
        assert len(chat.got) == 1


def test_a_temporary_failure_is_tried_again_by_the_schedule_and_then_dead(tmp_path: Path) -> None:
    chat = Chat(TemporaryFailure("down", status=503))
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.miss()
        bridge.settle()
        tries = [len(chat.got)]
        for seconds in (4.9, 0.1, 29.9, 0.1, 119.9, 0.1, 36000):
            bridge.advance(seconds)
            tries.append(len(chat.got))

        assert tries == [1, 1, 2, 2, 3, 3, 4, 4]
        (row,) = bridge.rows()
        assert (row["state"], row["attempts"], row["last_error"]) == ("dead", 4, "down")
        assert {delivery.attempt for delivery in chat.got} == {1, 2, 3, 4}
        assert len({delivery.event.id for delivery in chat.got}) == 1


@pytest.mark.once
def test_the_other_side_s_wish_to_wait_longer_is_granted(tmp_path: Path) -> None:
    chat = Chat(TemporaryFailure("slow down", status=429, retry_after=60.0))
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.miss()
        bridge.settle()

        assert bridge.rows()[0]["due_at"] == START + 60
        bridge.advance(59)
        assert len(chat.got) == 1
        bridge.advance(1)
        assert len(chat.got) == 2


@pytest.mark.once
def test_a_retried_delivery_that_goes_through_forgets_its_error(tmp_path: Path) -> None:
    chat = Chat(TemporaryFailure("down"), None)
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.miss()
        bridge.settle()
        assert (bridge.rows()[0]["state"], bridge.rows()[0]["last_error"]) == ("pending", "down")
        bridge.advance(5)

        assert (bridge.rows()[0]["state"], bridge.rows()[0]["last_error"]) == ("delivered", None)


@pytest.mark.once
def test_a_retry_sends_the_same_event_though_the_call_has_gone_on(tmp_path: Path) -> None:
    chat = Chat(TemporaryFailure("down"), None)
    with rig(tmp_path, (connector(on=["call.ringing"]), chat)) as bridge:
        bridge.post("ringing")
        bridge.settle()
        bridge.miss()
        bridge.advance(5)

        assert chat.got[0].event == chat.got[1].event
        assert [delivery.event.call.state for delivery in chat.got if delivery.event.call] == ["ringing", "ringing"]


@pytest.mark.once
def test_a_permanent_failure_is_dead_at_once_with_the_reason(tmp_path: Path) -> None:
    chat = Chat(PermanentFailure("HTTP 422: no such field", status=422))
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.miss()
        bridge.settle()
        bridge.advance(36000)

        (row,) = bridge.rows()
        assert (row["state"], row["attempts"], row["last_error"]) == ("dead", 1, "HTTP 422: no such field")


@pytest.mark.once
def test_the_plain_failure_counts_as_temporary(tmp_path: Path) -> None:
    chat = Chat(DeliveryFailure("something"), None)
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.miss()
        bridge.settle()
        assert bridge.states() == ["pending"]
        bridge.advance(5)
        assert bridge.states() == ["delivered"]


@pytest.mark.once
def test_a_schedule_without_steps_never_tries_again(tmp_path: Path) -> None:
    chat = Chat(TemporaryFailure("down"))
    with rig(tmp_path, (connector(retry={"schedule": []}), chat)) as bridge:
        bridge.miss()
        bridge.settle()

        assert bridge.states() == ["dead"]


def test_every_attempt_is_recorded_with_when_how_long_status_and_answer(tmp_path: Path) -> None:
    def slow(batch: object) -> object:
        bridge.clock.passed += 2
        raise TemporaryFailure("HTTP 500: oops", status=500, answer="x" * 2000)

    chat = Chat(slow, Receipt(status=201, answer="made"))
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.miss()
        bridge.settle()
        bridge.advance(5)

        first, second = bridge.attempts()
        assert (first["started_at"], first["seconds"], first["number"]) == (START, 2.0, 1)
        assert (first["outcome"], first["status"], first["error"]) == ("temporary", 500, "HTTP 500: oops")
        assert first["answer"] == "x" * 500
        assert (second["started_at"], second["number"]) == (START + 7, 2)
        assert (second["outcome"], second["status"], second["answer"]) == ("delivered", 201, "made")


@pytest.mark.once
def test_secrets_are_removed_from_what_is_kept_before_it_is_cut(tmp_path: Path) -> None:
    answer = "y" * 495 + "s3cret-token"
    chat = Chat(
        TemporaryFailure("wrong s3cret-token", answer=answer), Receipt(text="at s3cret-token", answer="s3cret-token")
    )
    with rig(tmp_path, (connector(), chat), clean=lambda text: text.replace("s3cret-token", "***")) as bridge:
        bridge.miss()
        bridge.settle()
        bridge.advance(5)

        first, second = bridge.attempts()
        assert (first["error"], first["answer"]) == ("wrong ***", "y" * 495 + "***")
        assert (second["answer"], bridge.rows()[0]["receipt"]) == ("***", "at ***")


def test_text_that_no_store_can_keep_costs_nothing(tmp_path: Path) -> None:
    chat = Chat(TemporaryFailure("half a letter \ud83d"), Receipt(text="\ud83d"))
    with rig(tmp_path, (connector(), chat)) as bridge:
        bridge.miss()
        bridge.settle()
        assert bridge.rows()[0]["last_error"] == "half a letter ?"
        bridge.advance(5)
        assert bridge.states() == ["delivered"]


# --- age ----------------------------------------------------------------------------------------------------------


def test_what_is_older_than_max_age_expires_and_is_not_sent(tmp_path: Path) -> None:
    chat = Chat(TemporaryFailure("down"))
    with rig(tmp_path, (connector(max_age="20s"), chat)) as bridge:
        bridge.miss()
        bridge.settle()
        bridge.advance(5)
        bridge.advance(16)
        tries = len(chat.got)
        bridge.advance(3600)

        assert (tries, len(chat.got)) == (2, 2)
        assert (bridge.states(), bridge.rows()[0]["last_error"]) == (["expired"], "down")


@pytest.mark.once
def test_age_counts_from_when_the_post_came_though_its_stamps_are_old(tmp_path: Path) -> None:
    chat = Chat()
    with rig(tmp_path, (connector(max_age="1m"), chat)) as bridge:
        bridge.post("hangup", ended_at=datetime(2016, 1, 1, tzinfo=UTC))
        bridge.settle()

        assert bridge.states() == ["delivered"]


@pytest.mark.once
def test_a_delivery_expires_while_its_connector_is_paused(tmp_path: Path) -> None:
    chat = Chat()
    with rig(tmp_path, (connector(max_age="1h"), chat)) as bridge:
        bridge.change_health("chat", lambda health: health.pause())
        bridge.settle()
        bridge.miss()
        bridge.advance(3599)
        assert bridge.states() == ["pending"]
        bridge.advance(2)

        assert (bridge.states(), chat.got) == (["expired"], [])


def test_an_expired_event_holds_back_none_of_its_call(tmp_path: Path) -> None:
    chat = Chat(TemporaryFailure("down"), None)
    with rig(tmp_path, (connector(max_age="30s", order_hold="1h", retry={"schedule": ["10m"]}), chat)) as bridge:
        bridge.post("ringing")
        bridge.settle()
        bridge.advance(25)
        bridge.miss()
        bridge.settle()
        assert chat.types == ["call.ringing"]
        bridge.advance(10)

        assert chat.types == ["call.ringing", "call.missed"]
        assert bridge.states() == ["expired", "delivered"]


@pytest.mark.once
@pytest.mark.parametrize("kind", ["ringing", "answered"])
def test_what_comes_after_the_ending_is_delivered_to_nobody(tmp_path: Path, kind: str) -> None:
    chat = Chat()
    with rig(tmp_path, (connector(on=["*"]), chat)) as bridge:
        bridge.miss()
        late = bridge.post(kind)  # type: ignore[arg-type]  # one of the kinds
        bridge.settle()

        assert late.event is not None
        assert (chat.types, len(bridge.rows())) == (["call.missed"], 1)
