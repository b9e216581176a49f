"""How a connector does: the breaker and the pauses, without a store and without a clock."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.health import Breaker, Health

BREAKER = Breaker(5, (30.0, 60.0, 120.0, 300.0))
NOW = 1_000_000.0


def failing(count: int, now: float = NOW, health: Health | None = None) -> Health:
    """The health after so many temporary failures at a moment."""
    health = health or Health()
    for _ in range(count):
        health = health.failed_temporarily("down", BREAKER, now)
    return health


def test_a_new_connector_admits_everything() -> None:
    assert Health().admits(NOW) == "all"


def test_the_fifth_failure_in_a_row_opens_the_breaker() -> None:
    assert failing(4).admits(NOW) == "all"
    assert failing(5).admits(NOW) == "none"
    assert failing(5).admits_at() == NOW + 30


def test_an_answer_of_any_kind_breaks_the_row() -> None:
    for broken in (failing(4).delivered(), failing(4).answered("HTTP 422", NOW)):
        assert failing(4, health=broken).admits(NOW) == "all"


def test_tries_that_were_under_way_when_the_breaker_opened_do_not_open_it_longer() -> None:
    assert failing(9).admits_at() == NOW + 30


def test_each_failed_probe_opens_it_for_the_next_longer_cool_down_and_the_last_one_repeats() -> None:
    health, now, waits = failing(5), NOW, []
    for _ in range(6):
        until = health.open_until or 0.0
        waits.append(until - now)
        now = until
        assert (health.admits(now - 0.1), health.admits(now)) == ("none", "one")
        health = health.failed_temporarily("down", BREAKER, now)

    assert waits == [30, 60, 120, 300, 300, 300]


def test_a_probe_that_is_answered_closes_it() -> None:
    for closed in (failing(5).delivered(), failing(5).answered("HTTP 422", NOW + 30)):
        assert (closed.admits(NOW), closed.failures, closed.opened) == ("all", 0, 0)


def test_a_breaker_of_no_failures_never_opens() -> None:
    health = Health()
    for _ in range(1000):
        health = health.failed_temporarily("down", Breaker(0, (30.0,)), NOW)

    assert health.admits(NOW) == "all"


def test_wrong_credentials_admit_one_probe_every_15_minutes() -> None:
    paused = Health().misconfigured("HTTP 401", NOW)

    assert (paused.paused_by, paused.reason) == ("misconfigured", "HTTP 401")
    assert (paused.admits(NOW + 899.9), paused.admits(NOW + 900)) == ("none", "one")


@pytest.mark.parametrize(
    "probed",
    [
        Health().misconfigured("HTTP 401", NOW).misconfigured("HTTP 403", NOW + 900),
        Health().misconfigured("HTTP 401", NOW).failed_temporarily("down", BREAKER, NOW + 900),
        Health().misconfigured("HTTP 401", NOW).answered("HTTP 422", NOW + 900),
    ],
    ids=["misconfigured", "temporary", "permanent"],
)
def test_a_probe_that_fails_waits_for_another_15_minutes(probed: Health) -> None:
    assert probed.paused_by == "misconfigured"
    assert (probed.admits(NOW + 1799.9), probed.admits(NOW + 1800)) == ("none", "one")


def test_a_probe_that_goes_through_ends_the_pause() -> None:
    assert Health().misconfigured("HTTP 401", NOW).delivered() == Health()


def test_a_gone_target_admits_nothing_until_it_is_resumed() -> None:
    gone = Health().gone("HTTP 410")
    later = NOW + 365 * 24 * 3600

    assert [one.admits(later) for one in (gone, gone.delivered(), gone.misconfigured("HTTP 401", NOW))] == ["none"] * 3
    assert gone.resume().admits(later) == "all"


def test_the_operator_s_pause_is_ended_by_a_resume_alone() -> None:
    paused = Health().pause()
    changed = [
        paused.delivered(),
        paused.misconfigured("HTTP 401", NOW),
        paused.gone("HTTP 410"),
        paused.answered("HTTP 422", NOW),
        failing(9, health=paused),
    ]

    assert {(one.paused_by, one.admits(NOW + 1e9)) for one in changed} == {("operator", "none")}
    assert paused.resume().admits(NOW) == "all"


def test_a_resume_forgets_whatever_stopped_it() -> None:
    for stopped in (failing(5), Health().misconfigured("HTTP 401", NOW), Health().gone("HTTP 410"), Health().pause()):
        assert stopped.resume() == Health()


def test_what_could_not_start_admits_nothing_until_it_starts_whatever_the_operator_does() -> None:
    stuck = Health().started("no login")
    later = NOW + 365 * 24 * 3600

    assert [one.admits(later) for one in (stuck, stuck.resume(), stuck.delivered())] == ["none"] * 3
    assert (stuck.admits_at(), stuck.started(None)) == (None, Health())


def test_dead_deliveries_are_told_at_most_once_an_hour() -> None:
    health = Health().died(3)
    assert health.dead_to_tell(NOW) == 3
    told = health.told(NOW).died(2)

    assert [told.dead_to_tell(at) for at in (NOW, NOW + 3599, NOW + 3600)] == [0, 0, 2]
    assert told.resume().dead_to_tell(NOW + 3600) == 2


def test_a_clock_that_was_set_back_does_not_keep_dead_deliveries_secret_for_longer_than_an_hour() -> None:
    assert Health().told(NOW).died(1).dead_to_tell(NOW - 7 * 24 * 3600) == 1


def test_it_is_read_as_it_was_written() -> None:
    health = replace(failing(5), dead_untold=2, dead_told_at=NOW, not_started="no login", version=7)

    assert Health.from_json(health.to_json()) == health
