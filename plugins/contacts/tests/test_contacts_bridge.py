"""A bridge with a contacts directory: what it delivers names the caller."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from bridge.testing import BridgeProcess, RecordingSink, eventually, recording_sink, running_bridge

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")

CUSTOMERS = """No;Ad Soyad;Firma;Telefon;Cep;Not
7;Ayşe Yılmaz;Örnek A.Ş.;0 (212) 320 50 62;;VIP
8;Fatma;;0532 123 45 67;;
9;Esra;;+90 532 123 45 67;;
"""

OFFICE = """
locale = "tr"
[connectors.hook]
kind = "webhook"
on = ["call.missed"]
url = "SINK/hook"
retry = {schedule = ["0.1s"], jitter = 0}
[connectors.chat]
kind = "slack"
on = ["call.missed"]
webhook_url = "SINK/slack"
[directories.customers]
kind = "contacts"
path = "customers.csv"
"""

MISSED = {"event_type": "hangup", "direction": "inbound", "destination_number": "1001", "dialed_user": "1001"}


def miss(bridge: BridgeProcess, caller: str, call_id: str) -> None:
    form = {**MISSED, "caller_id_number": caller, "call_uuid": call_id, "hangup_cause": "ORIGINATOR_CANCEL"}
    assert bridge.post("/event", form).status_code == 200


def arrived(sink: RecordingSink, path: str, count: int = 1) -> list[bytes]:
    return eventually(
        lambda: found if len(found := [one.body for one in list(sink.arrivals) if one.path == path]) >= count else None,
        f"{count} at {path}",
    )


def test_slack_and_the_webhook_name_the_caller(tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_text(CUSTOMERS, "cp1254")
    with recording_sink() as sink, running_bridge(tmp_path, OFFICE.replace("SINK", sink.url)) as bridge:
        miss(bridge, "02123205062", "known")
        (hook,), (chat,) = arrived(sink, "/hook"), arrived(sink, "/slack")

        contact = {"name": "Ayşe Yılmaz", "company": "Örnek A.Ş.", "id": "7", "note": "VIP", "directory": "customers"}
        assert json.loads(hook)["data"]["contact"] == contact
        assert "Ayşe Yılmaz" in json.dumps(json.loads(chat), ensure_ascii=False)
        assert "Örnek A.Ş." in json.dumps(json.loads(chat), ensure_ascii=False)

        miss(bridge, "05321234567", "two")
        miss(bridge, "05339999999", "unknown")
        contacts = [json.loads(body)["data"]["contact"] for body in arrived(sink, "/hook", 3)]
        assert contacts[1:] == [None, None], "of two with one number none is guessed"


def test_whois_tells_of_a_running_bridge_s_directory(tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_text(CUSTOMERS, "utf-8")
    bridge = BridgeProcess(tmp_path, OFFICE.replace("SINK", "http://127.0.0.1:9"))
    rows = bridge.rows("whois", "0532 123 45 67")

    assert [(row["directory"], row["name"], row["state"]) for row in rows] == [
        ("customers", "Fatma", "found"),
        ("customers", "Esra", "found"),
    ]
    assert rows[0]["where"] == "customers.csv: 3 contacts with 2 numbers"
    assert rows[0]["milliseconds"] < 1000


@pytest.mark.parametrize("config", [part.partition("\n```")[0] for part in README.split("```toml\n")[1:]])
def test_every_config_of_the_readme_has_no_fault(config: str, tmp_path: Path) -> None:
    tomllib.loads(config)
    bridge = BridgeProcess(tmp_path, config)
    done = bridge.run("check")

    assert (done.returncode, done.stdout) == (0, "the config is fine\n")


def test_a_server_that_cannot_be_used_is_not_called_missing(tmp_path: Path) -> None:
    table = '[directories.office]\nkind = "contacts"\ncarddav = "ftp://cloud.example.com"\n'
    done = BridgeProcess(tmp_path, table).run("check")

    assert done.stdout == "directories.office.carddav: not an http:// or https:// URL with a host\n"
