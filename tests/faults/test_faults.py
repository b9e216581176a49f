"""The short pass of the faults, as `make test` runs it; `make faults` plays them all, and longer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Desk
from tests.faults import kills, machines, outages, plugins, postgresql, stopped
from tests.faults.inputs import CONTENT_TYPES, check_post
from tests.faults.judge import Verdict
from tests.plugins_for_tests.cluster import Cluster


def assert_holds(verdict: Verdict) -> None:
    assert not verdict.lost, verdict
    assert not verdict.wrong, verdict
    assert verdict.accepted > 0
    assert verdict.delivered + verdict.kept == verdict.accepted


@pytest.mark.parametrize(
    "boundaries",
    [
        ("before the commit", "after the claim", "before the record", kills.AT_RANDOM, "while replaying"),
        ("after the commit", "while sending", kills.AT_RANDOM, "while retrying", kills.AT_RANDOM),
    ],
    ids=["even", "odd"],
)
def test_whenever_the_bridge_is_killed_nothing_is_lost(tmp_path: Path, boundaries: tuple[str, ...]) -> None:
    assert_holds(kills.kill(tmp_path, boundaries, seed=1))


def test_nothing_is_lost_on_postgresql_either_when_the_bridge_or_the_server_dies(
    cluster: Cluster, tmp_path: Path
) -> None:
    boundaries = ("before the commit", "after the claim", "before the record")
    assert_holds(kills.kill(tmp_path / "bridge", boundaries, seed=2, store=cluster.new_database()))
    assert_holds(postgresql.crash(tmp_path / "server", cluster, times=2))


def test_nobody_notices_when_bridges_are_restarted_one_after_the_other(cluster: Cluster, tmp_path: Path) -> None:
    verdict = machines.restart_in_turn(tmp_path, cluster.new_database(), count=2, rounds=1)
    assert_holds(verdict)
    assert not verdict.repeated


def test_a_store_that_cannot_be_used_is_told_and_all_is_well_again_by_itself(tmp_path: Path) -> None:
    fault = "no file may grow"
    cause, reason = outages.CAUSES[fault]
    assert_holds(outages.outage(tmp_path, fault, cause, reason))


def test_a_worker_stopped_past_its_lease_does_not_overwrite_its_successor(tmp_path: Path) -> None:
    assert_holds(stopped.stop_past_lease(tmp_path, hurried=True))


def test_the_delivery_that_takes_its_process_down_is_found_and_nothing_else_is_lost(tmp_path: Path) -> None:
    assert_holds(plugins.kill_process(tmp_path, "exits", 1))


# --- input --------------------------------------------------------------------------------------------------------

NAMES = ("call_uuid", "event_type", "direction", "answered", "domain_id", "start_stamp", "caller_id_number")
VALUES = st.text(max_size=20) | st.sampled_from(["hangup", "ringing", "answered", "true", "false", "inbound", ""])
FORMS = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), VALUES, max_size=8)
BODIES = FORMS.map(lambda form: urlencode(form, errors="replace").encode()) | st.binary(max_size=300)


@pytest.fixture
def quiet_desk(open_desk: Callable[..., Desk]) -> Desk:
    desk: Desk = open_desk()
    return desk


@given(BODIES, st.sampled_from(CONTENT_TYPES))
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_posted_is_kept_or_kept_aside_and_answered_so(
    quiet_desk: Desk, body: bytes, content_type: str
) -> None:
    quiet_desk.now += 60  # what is posted twice within the window is one post
    check_post(quiet_desk, body, content_type)
