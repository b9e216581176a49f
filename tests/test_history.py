"""The history of a number: found by the party at the other end of the line, however many calls there are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from bridge import Number
from bridge.memory import MemoryHistory
from bridge.store import Database
from bridge.store.feeds import StoreHistory
from bridge.testing import sample_event
from tests.plugins_for_tests.rig import Rig, rig

AYSE = "+902123205062"


def ids(bridge: Rig, number: Number | str, limit: int = 10) -> list[str]:
    return [call.id for call in StoreHistory(bridge.store).calls(number, limit=limit)]


def test_a_number_s_calls_come_newest_first_whoever_called_whom(tmp_path: Path) -> None:
    with rig(tmp_path) as bridge:
        bridge.post("hangup", "came in")
        bridge.clock.passed += 60
        bridge.post("hangup", "went out", direction="outbound", caller="1001", called="0 212 320 50 62")
        bridge.clock.passed += 60
        bridge.post("hangup", "somebody else", caller="05321112233")
        bridge.post("hangup", "inside", direction="internal", caller="1001", called="1002")
        bridge.clock.passed += 60
        bridge.post("ringing", "under way")
        bridge.clock.passed += 60
        bridge.post("hangup", "came in")  # an old call does not become a new one

        assert ids(bridge, AYSE) == ["under way", "went out", "came in"]
        assert ids(bridge, AYSE, limit=1) == ["under way"]
        assert ids(bridge, Number(raw="", e164=AYSE, display="", kind="external"))[0] == "under way"
        assert ids(bridge, "+905321112233") == ["somebody else"]


@pytest.mark.parametrize("number", ["1001", "", "+4930", Number(raw="", e164=None, display="", kind="withheld")])
def test_who_has_no_outside_number_has_no_history(tmp_path: Path, number: Number | str) -> None:
    with rig(tmp_path) as bridge:
        bridge.post("hangup", "1", caller="")
        bridge.post("hangup", "2", direction="internal", caller="1001", called="1002")

        assert ids(bridge, number) == []


def test_the_number_of_a_call_is_learnt_as_soon_as_it_is_known(tmp_path: Path) -> None:
    with rig(tmp_path) as bridge:
        bridge.post("ringing", "1", caller="")
        assert ids(bridge, AYSE) == []
        bridge.post("hangup", "1")

        assert ids(bridge, AYSE) == ["1"]


def test_it_is_read_from_an_index_in_the_order_wanted(tmp_path: Path) -> None:
    query = "SELECT call FROM calls WHERE outside_party = '+90' ORDER BY first_received_at DESC LIMIT 10"
    with rig(tmp_path) as bridge, bridge.store.reading() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").fetchall()

    assert [row[3] for row in plan] == ["SEARCH calls USING INDEX calls_by_outside_party (outside_party=?)"]


def test_calls_of_an_older_callbridge_are_found_too(tmp_path: Path) -> None:
    call = sample_event().call
    assert call is not None
    other = call.model_copy(update={"direction": "outbound", "called": call.caller, "caller": call.called})
    inside = call.model_copy(update={"direction": "internal"})
    with rig(tmp_path):
        database = Database(f"sqlite:///{tmp_path / 'rig.db'}")
    with database.writer.begin() as connection:
        for statement in (
            "DROP TABLE feed",
            "DROP TABLE turns",
            "DROP INDEX calls_by_outside_party",
            "ALTER TABLE calls DROP COLUMN outside_party",
            "UPDATE alembic_version SET version_num = '0001'",
        ):
            connection.execute(text(statement))
        for number, one in enumerate((call, other, inside)):
            row = {
                "key": str(number),
                "call": one.model_copy(update={"id": str(number)}).model_dump_json(),
                "at": number,
            }
            connection.execute(
                text("INSERT INTO calls VALUES (:key, 'pbx', '', :key, '{}', :call, 'missed', 1, :at, :at)"), row
            )
    database.migrate()
    with database.reader.begin() as connection:
        found = connection.execute(text(f"SELECT key FROM calls WHERE outside_party = '{AYSE}' ORDER BY key"))
        assert list(found.scalars()) == ["0", "1"]
    database.close()


def test_a_history_in_memory_says_the_same_of_the_calls_it_is_given() -> None:
    calls = [sample_event(id=name).call for name in ("new", "old")]
    history = MemoryHistory([call for call in calls if call is not None])

    assert [call.id for call in history.calls(AYSE)] == ["new", "old"]
    assert [call.id for call in history.calls(calls[0].caller if calls[0] else "", limit=1)] == ["new"]
    assert history.calls("1001") == []
    assert json.loads(calls[0].model_dump_json() if calls[0] else "{}").keys().isdisjoint({"outside_party"})
