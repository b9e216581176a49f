"""The README's HubSpot and Pipedrive, against servers that answer as the vendors' documents say, and a real bridge."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from callbridge_rest.settings import ConnectorSettings, DirectorySettings, Fields
from callbridge_rest.values import EVENT_NAMES

from bridge.testing import Answer, Arrival, BridgeProcess, RecordingSink, eventually, recording_sink, running_bridge

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```toml\n(.*?)^```$", README, re.M | re.S)
FAST = '[sources.bulutsantralim]\nregion = "TR"\n'
ENDED = {"event_type": "hangup", "direction": "inbound", "destination_number": "1001", "dialed_user": "1001"}
STAMPS = {"start_stamp": "2026-11-24 12:00:00", "end_stamp": "2026-11-24 12:00:20"}


def said(data: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(data).encode(), {"Content-Type": "application/json"})


def digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", text)


class HubSpot:
    """POST /crm/v3/objects/contacts/search and /crm/v3/objects/calls."""

    base = "https://api.hubapi.com"

    def __init__(self, *people: Mapping[str, str]) -> None:
        self.people = [dict(one) for one in people]
        self.calls: list[Any] = []

    def __call__(self, arrival: Arrival) -> Answer:
        if arrival.headers.get("Authorization") != "Bearer pat-eu1-00000000-0000":
            return said({"status": "error", "message": "The OAuth token…", "category": "INVALID_AUTHENTICATION"}, 401)
        match arrival.method, urlsplit(arrival.path).path:
            case "POST", "/crm/v3/objects/contacts/search":
                results = [self._object(one) for one in self.people if self._fits(one, arrival.json())]
                return said({"total": len(results), "results": results})
            case "GET", "/crm/v3/objects/contacts":
                return said({"results": [self._object(one) for one in self.people[:1]]})
            case "POST", "/crm/v3/objects/calls":
                self.calls.append(arrival.json())
                return said({"id": str(511 + len(self.calls)), "properties": {}, "archived": False}, 201)
        return said({"status": "error", "category": "OBJECT_NOT_FOUND"}, 404)

    def _fits(self, person: Mapping[str, str], search: Any) -> bool:
        """Groups are alternatives, the filters in one go together; a number is searched without its country."""
        searchable = {
            "hs_searchable_calculated_phone_number": digits(person.get("phone", "")).removeprefix("90"),
            "hs_searchable_calculated_mobile_number": digits(person.get("mobilephone", "")).removeprefix("90"),
        }
        return any(
            all(
                one["operator"] == "CONTAINS_TOKEN"
                and searchable[one["propertyName"]].endswith(one["value"].removeprefix("*"))
                for one in group["filters"]
            )
            for group in search["filterGroups"]
        )

    def _object(self, person: Mapping[str, str]) -> dict[str, Any]:
        properties = {name: value for name, value in person.items() if name != "id"}
        return {
            "id": person["id"],
            "properties": properties,
            "createdAt": "2019-10-30T03:30:17.883Z",
            "archived": False,
        }


class Pipedrive:
    """GET /api/v2/persons/search and POST /v1/callLogs."""

    base = "https://api.pipedrive.com"

    def __init__(self, *people: Mapping[str, Any]) -> None:
        self.people = people
        self.calls: list[Any] = []

    def __call__(self, arrival: Arrival) -> Answer:
        if arrival.headers.get("x-api-token") != "0123456789abcdef":
            return said({"success": False, "error": "unauthorized access", "errorCode": 401}, 401)
        url = urlsplit(arrival.path)
        match arrival.method, url.path:
            case "GET", "/api/v2/persons/search":
                query = parse_qs(url.query)
                assert query["fields"] == ["phone"]
                items = [
                    {"result_score": 0.29, "item": {"type": "person", "emails": [], **one}}
                    for one in self.people
                    if any(query["term"][0] in digits(phone) for phone in one["phones"])
                ]
                return said({"success": True, "data": {"items": items}, "additional_data": {"next_cursor": None}})
            case "GET", "/v1/users/me":
                return said({"success": True, "data": {"id": 1}})
            case "POST", "/v1/callLogs":
                self.calls.append(arrival.json())
                return said({"success": True, "data": {"id": "CAd92b224eb4a39b5ad8fea92ff0e"}})
        return said({"success": False}, 404)


def config_of(crm: type[HubSpot | Pipedrive], url: str) -> str:
    """The README's configuration of a CRM, but for the address."""
    [block] = [block for block in BLOCKS if crm.base in block]
    return FAST + block.replace(crm.base, url)


@pytest.fixture
def serve() -> Iterator[Callable[[HubSpot | Pipedrive], RecordingSink]]:
    with recording_sink() as sink:

        def start(crm: HubSpot | Pipedrive) -> RecordingSink:
            sink.answer_with(crm)
            return sink

        yield start


def end_call(bridge: BridgeProcess, caller: str, call_id: str, **fields: str) -> None:
    form = {**ENDED, **STAMPS, "hangup_cause": "ORIGINATOR_CANCEL", "caller_id_number": caller, "call_uuid": call_id}
    assert bridge.post("/event", {**form, **fields}).status_code == 200


def settled(bridge: BridgeProcess, count: int) -> dict[str, tuple[str, str]]:
    """State and receipt of the deliveries by call, as soon as none of so many waits."""

    def tried() -> bool:
        tries = re.findall(r"^callbridge_attempts_total\{.*\} (.*)$", bridge.get("/metrics").text, re.M)
        return sum(map(float, tries)) >= count

    def rows() -> list[dict[str, Any]] | None:
        found = bridge.rows("deliveries")
        return found if all(row["state"] != "pending" for row in found) else None

    eventually(tried, "the deliveries")
    return {row["call_id"]: (row["state"], row["receipt"]) for row in eventually(rows, "their end")}


def test_hubspot_says_who_calls_and_gets_the_call(
    serve: Callable[[HubSpot | Pipedrive], RecordingSink], tmp_path: Path
) -> None:
    hubspot = HubSpot(
        {"id": "100451", "firstname": "Ayşe", "lastname": '"Y"', "company": "Örnek", "phone": "+90 (212) 320 50 62"},
        {"id": "2", "firstname": "Similar", "phone": "+99 212 320 50 62", "mobilephone": ""},
        {"id": "3", "firstname": "Fatma", "lastname": "Kaya", "phone": "", "mobilephone": "0532 123 45 67"},
    )
    sink = serve(hubspot)
    with running_bridge(tmp_path, config_of(HubSpot, sink.url)) as bridge:
        [row] = bridge.rows("whois", "02123205062")
        assert (row["name"], row["company"], row["id"]) == ('Ayşe "Y"', "Örnek", "100451")
        assert row["where"] == f"127.0.0.1:{sink.port}: the credentials work (HTTP 200)"

        end_call(bridge, "02123205062", "missed")
        assert settled(bridge, 1) == {"missed": ("delivered", "512")}
        end_call(bridge, "05339999999", "unknown")
        end_call(bridge, "05321234567", "talked", connected_user="1001", answer_stamp="2026-11-24 12:00:05")
        assert settled(bridge, 3) == {
            "missed": ("delivered", "512"),
            "talked": ("delivered", "513"),
            "unknown": ("skipped", "nobody is known with an id of the CRM"),
        }

    missed, talked = sorted(hubspot.calls, key=lambda call: call["properties"]["hs_call_duration"])
    assert missed["properties"] == {
        "hs_timestamp": "2026-11-24T09:00:00Z",
        "hs_call_title": 'Ayşe "Y", (0212) 320 50 62',
        "hs_call_body": "call.missed Caller gave up",
        "hs_call_direction": "INBOUND",
        "hs_call_status": "NO_ANSWER",
        "hs_call_duration": 0,
        "hs_call_from_number": "+902123205062",
        "hs_call_to_number": "1001",
    }
    kind = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 194}
    assert missed["associations"] == [{"to": {"id": "100451"}, "types": [kind]}]
    assert (talked["properties"]["hs_call_status"], talked["properties"]["hs_call_duration"]) == ("COMPLETED", 15000)


def test_pipedrive_says_who_calls_and_gets_the_call(
    serve: Callable[[HubSpot | Pipedrive], RecordingSink], tmp_path: Path
) -> None:
    pipedrive = Pipedrive(
        {"id": 5, "name": "Jane Smith", "phones": ["+90 212 320 50 62"], "organization": {"id": 1, "name": "Acme"}},
        {"id": 6, "name": "Longer", "phones": ["2123205062123"], "organization": None},
    )
    sink = serve(pipedrive)
    with running_bridge(tmp_path, config_of(Pipedrive, sink.url)) as bridge:
        [row] = bridge.rows("whois", "+902123205062")
        assert (row["name"], row["company"], row["id"], row["state"]) == ("Jane Smith", "Acme", "5", "found")

        end_call(bridge, "02123205062", "known")
        end_call(bridge, "anonymous", "withheld")
        assert set(settled(bridge, 2).values()) == {("delivered", "CAd92b224eb4a39b5ad8fea92ff0e")}

    known, withheld = sorted(pipedrive.calls, key=lambda call: call["person_id"] is None)
    assert known == {
        "subject": "Jane Smith",
        "outcome": "no_answer",
        "from_phone_number": "+902123205062",
        "to_phone_number": "1001",
        "start_time": "2026-11-24 09:00:00",
        "end_time": "2026-11-24 09:00:20",
        "duration": "0",
        "person_id": 5,
    }
    assert (withheld["subject"], withheld["person_id"]) == ("Withheld number", None)


def test_wrong_credentials_are_said_and_not_shown(
    serve: Callable[[HubSpot | Pipedrive], RecordingSink], tmp_path: Path
) -> None:
    sink = serve(HubSpot())
    wrong = config_of(HubSpot, sink.url).replace("pat-eu1-00000000-0000", "s3cret-and-wrong")
    done = BridgeProcess(tmp_path, wrong).run("check", "--online")

    assert done.returncode == 1
    assert done.stderr.count("the server answered 401 Unauthorized; check the address and the credentials") == 2
    assert "s3cret" not in done.stdout + done.stderr


def test_a_crm_that_hangs_costs_no_call(serve: Callable[[HubSpot | Pipedrive], RecordingSink], tmp_path: Path) -> None:
    class Hanging(HubSpot):
        def __call__(self, arrival: Arrival) -> Answer:
            return Answer(delay=60.0 if "search" in arrival.path else 0.0)

    sink = serve(Hanging())
    hook = f'[connectors.hook]\nkind = "webhook"\non = ["call.missed"]\nurl = "{sink.url}/hook"\n'
    config = config_of(Hanging, sink.url).replace('kind = "rest"\nurl', 'kind = "rest"\ntimeout = "0.2s"\nurl', 1)
    with running_bridge(tmp_path, config.partition("[connectors.")[0] + hook) as bridge:
        for number in range(5):
            end_call(bridge, f"021232050{60 + number}", f"call-{number}")
        hooks = eventually(
            lambda: found if len(found := [one for one in sink.arrivals if one.path == "/hook"]) == 5 else None,
            "the deliveries",
        )
        assert [one.json()["data"]["contact"] for one in hooks] == [None] * 5
        assert "timed out after 0.2 s" in bridge.log.read_text() or "no answer within 0.2 s" in bridge.log.read_text()


def test_every_config_of_the_readme_has_no_fault(tmp_path: Path) -> None:
    done = BridgeProcess(tmp_path, "\n".join(BLOCKS)).run("check")
    assert (done.returncode, done.stdout) == (0, "the config is fine\n")
    assert len(BLOCKS) == 4


def test_the_readme_has_every_key_and_every_placeholder() -> None:
    keys = set(re.findall(r"^\| `(\w+)` \| .* \| .* \|$", README, re.M))
    assert keys == {*DirectorySettings.model_fields, *ConnectorSettings.model_fields}
    told = set(re.findall(r"`\{?(\w+)\}?`", README))
    assert {*EVENT_NAMES, *Fields.model_fields} <= told
