"""On whose screen a call is, whatever the events' order."""

from __future__ import annotations

import itertools
from typing import Any

from callbridge_popup.screens import LATE, STAMPED, Happening, Screens
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge import Call, Number
from bridge.testing import sample_event

INSIDE = Number(raw="1001", e164=None, display="1001", kind="extension")
OUTSIDE = Number(raw="05321234567", e164="+905321234567", display="0532 123 45 67", kind="external")


class Story:
    """A call that is told event by event; each comes `seconds` after the one before (a minute if not said)."""

    def __init__(self, **call: Any) -> None:
        self._call = {"connected_user": None, "queue": None, "rang": (), **call}
        self._numbers = itertools.count()
        self.now = 1000.0
        self.stamp: float | None = None
        self.screens = Screens(self.call("call.ringing"))

    def call(self, event_type: str, **changes: Any) -> Call:
        call = sample_event(event_type, **{**self._call, **changes}).call
        assert call is not None
        return call

    def event(self, event_type: str, extension: str | None = None, seconds: float = 60, **call: Any) -> Happening:
        self.now += seconds
        self._call |= {"connected_user": call.get("connected_user", self._call["connected_user"])}
        told = self.call(event_type, dialed_user=extension, **call)
        return Happening(f"evt_{next(self._numbers)}", event_type, self.now, told, self.stamp)

    def rings(self, *extensions: str, seconds: float = 60, **call: Any) -> set[str]:
        changed: set[str] = set()
        for extension in extensions:
            changed |= self.screens.take(self.event("call.ringing", extension, seconds, **call))
        return changed

    def answers(self, extension: str | None, seconds: float = 60, by: str | None = None) -> set[str]:
        connected = by or extension
        return self.screens.take(self.event("call.answered", extension, seconds, connected_user=connected))

    def leg_ends(self, extension: str, seconds: float = 60) -> set[str]:
        return self.screens.take(self.event("leg.ended", extension, seconds))

    def ends(self, event_type: str, seconds: float = 60, **call: Any) -> set[str]:
        return self.screens.take(self.event(event_type, None, seconds, **call))

    @property
    def stages(self) -> dict[str, str]:
        return {extension: place.stage for extension, place in self.screens.places.items()}


def test_a_call_rings_where_the_phone_rings_then_talks_then_ends() -> None:
    story = Story()
    assert story.rings("1001") == {"1001"}
    assert story.stages == {"1001": "ringing"}
    assert story.answers("1001") == {"1001"}
    assert story.stages == {"1001": "talking"}
    assert story.ends("call.completed") == {"1001"}
    assert story.stages == {"1001": "ended"}
    assert not story.screens.is_visible


def test_the_colleagues_screens_are_cleared_by_the_answer_itself() -> None:
    story = Story(queue="700")
    story.rings("1001", "1002", "1003")
    assert story.answers("1002") == {"1001", "1002", "1003"}
    assert story.stages == {"1001": "gone", "1002": "talking", "1003": "gone"}
    story.leg_ends("1001", seconds=0)
    story.ends("call.completed")
    assert story.stages == {"1001": "gone", "1002": "ended", "1003": "gone"}


def test_a_leg_that_lost_the_race_clears_its_screen_before_the_answer_is_heard() -> None:
    story = Story(queue="700")
    story.rings("1001", "1002")
    story.leg_ends("1001", seconds=5)
    assert story.stages == {"1001": "gone", "1002": "ringing"}


def test_a_call_that_was_picked_up_goes_to_who_picked_it_up() -> None:
    story = Story()
    story.rings("1001")
    story.answers("1001", by="1005")
    story.leg_ends("1001", seconds=0)
    assert story.stages == {"1001": "gone", "1005": "talking"}


def test_a_queue_that_answers_leaves_the_phones_ringing() -> None:
    story = Story(queue="200")
    story.screens.take(story.event("call.answered"))
    story.rings("1001", "1002")
    story.screens.take(story.event("call.answered"))
    assert story.stages == {"1001": "ringing", "1002": "ringing"}


def test_an_answer_that_names_no_one_is_that_of_the_phone_that_rings() -> None:
    story = Story()
    story.rings("1001")
    story.screens.take(story.event("call.answered", "1001"))
    assert story.stages == {"1001": "talking"}


def test_a_missed_call_is_seen_by_all_whose_phones_rang_until_the_end() -> None:
    story = Story(queue="200")
    story.rings("1001")
    story.leg_ends("1001")
    story.rings("1002", "1003")
    story.leg_ends("1002", seconds=10)
    story.leg_ends("1003", seconds=0)
    story.ends("call.missed", seconds=0.5)
    assert story.stages == {"1001": "gone", "1002": "ended", "1003": "ended"}


def test_a_queue_rings_again_at_a_phone_that_did_not_answer() -> None:
    story = Story(queue="200")
    story.rings("1001")
    story.leg_ends("1001")
    story.rings("1001", seconds=1)
    assert story.stages == {"1001": "ringing"}


def test_a_ringing_that_the_answer_overtook_opens_nothing() -> None:
    story = Story(queue="700")
    story.rings("1001")
    story.answers("1001")
    assert story.rings("1002", "1001", seconds=0.2) == set()
    assert story.stages == {"1001": "talking"}


def test_a_ringing_that_its_own_end_overtook_opens_nothing() -> None:
    story = Story()
    story.leg_ends("1001")
    story.rings("1001", seconds=0.1)
    assert story.stages == {"1001": "gone"}


def test_only_the_ringing_whose_end_came_first_opens_nothing_and_the_next_one_rings() -> None:
    story = Story(queue="200")
    story.leg_ends("1001")
    story.rings("1001", seconds=0.1)
    assert story.rings("1001", seconds=1) == {"1001"}
    assert story.stages == {"1001": "ringing"}


def test_a_ringing_that_the_answer_overtook_opens_nothing_outside_of_queues_either() -> None:
    story = Story()
    story.rings("1001")
    story.answers("1001")
    assert story.rings("1002", seconds=0.2) == set()
    assert story.stages == {"1001": "talking"}
    story = Story()
    story.answers("1003")
    assert story.rings("1003", "1002", seconds=0.2) == set()
    assert story.stages == {"1003": "talking"}


def test_a_call_that_is_passed_on_at_once_is_known_by_the_stamps_of_the_pbx() -> None:
    story = Story()
    story.rings("1001")
    story.stamp = 2000.0
    story.answers("1001")
    story.stamp += STAMPED
    assert story.rings("1002", seconds=0.2) == set()
    story.stamp += 1
    assert story.rings("1003", seconds=0.2) == {"1003"}


def test_a_call_that_is_passed_on_goes_from_screen_to_screen() -> None:
    story = Story()
    story.rings("1001")
    story.answers("1001")
    story.rings("1003")
    assert story.stages == {"1001": "talking", "1003": "ringing"}
    story.answers("1003")
    assert story.stages == {"1001": "ended", "1003": "talking"}
    story.ends("call.completed", connected_user="1003")
    assert story.stages == {"1001": "ended", "1003": "ended"}


def test_a_call_may_be_passed_on_from_a_queue_after_a_while() -> None:
    story = Story(queue="200")
    story.rings("1001")
    story.answers("1001")
    story.rings("1003", seconds=LATE + 1)
    assert story.stages["1003"] == "ringing"


def test_the_other_telephone_of_who_answered_does_not_end_the_call() -> None:
    story = Story()
    story.rings("1001")
    story.answers("1001")
    story.leg_ends("1001", seconds=0.1)
    assert story.stages == {"1001": "talking"}
    story.leg_ends("1001")
    assert story.stages == {"1001": "ended"}


def test_an_outbound_call_is_on_the_screen_of_who_calls() -> None:
    story = Story(direction="outbound", caller=INSIDE, called=OUTSIDE)
    story.screens.take(story.event("call.ringing"))
    assert story.stages == {"1001": "ringing"}
    story.screens.take(story.event("call.answered"))
    assert story.stages == {"1001": "talking"}
    story.ends("call.completed")
    assert story.stages == {"1001": "ended"}


def test_a_form_without_dialed_user_rings_at_the_extension_that_was_called() -> None:
    story = Story(called=INSIDE)
    story.screens.take(story.event("call.ringing"))
    assert story.stages == {"1001": "ringing"}


def test_a_repeat_and_what_comes_after_the_end_change_nothing() -> None:
    story = Story()
    ringing = story.event("call.ringing", "1001")
    story.screens.take(ringing)
    assert story.screens.take(ringing) == set()
    story.ends("call.missed")
    assert story.rings("1001", "1002") == set()
    assert story.answers("1002") == set()
    assert story.stages == {"1001": "ended"}


def test_an_end_alone_opens_nothing() -> None:
    story = Story()
    assert story.ends("call.completed", connected_user="1001") == set()


def test_a_card_whose_end_is_never_heard_of_leaves_by_itself() -> None:
    story = Story()
    story.rings("1001")
    story.answers("1001")
    story.rings("1002")
    assert story.screens.expire(story.now - 1, story.now - 3600) == set()
    assert story.screens.expire(story.now + 1, story.now - 3600) == {"1002"}
    assert story.screens.expire(story.now + 1, story.now + 1) == {"1001"}
    assert not story.screens.is_visible


GROUP = [("call.ringing", "1001"), ("call.ringing", "1002"), ("call.answered", "1002"), ("leg.ended", "1001")]


@given(st.permutations(GROUP))
@settings(max_examples=24, deadline=None)
def test_a_group_ends_with_one_card_in_whatever_order_its_posts_come(steps: list[tuple[str, str]]) -> None:
    story = Story(queue="700")
    for event_type, extension in steps:
        by = "1002" if event_type == "call.answered" else None
        story.screens.take(story.event(event_type, extension, 0.1, connected_user=by))
    assert {extension for extension, stage in story.stages.items() if stage in ("ringing", "talking")} == {"1002"}
    assert story.stages["1002"] == "talking"


@given(st.lists(st.sampled_from(GROUP), max_size=8))
@settings(max_examples=60, deadline=None)
def test_no_card_outlives_its_call(steps: list[tuple[str, str]]) -> None:
    story = Story()
    for event_type, extension in steps:
        story.screens.take(story.event(event_type, extension, 0.7))
    story.ends("call.completed", connected_user="1002")
    assert not story.screens.is_visible
