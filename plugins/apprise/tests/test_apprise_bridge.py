"""A real bridge with several targets: what is wrong with one is felt by no other, and no secret is left anywhere."""

from __future__ import annotations

from pathlib import Path

from callbridge_apprise.settings import target_of

from bridge.testing import Answer, BridgeProcess, RecordingSink, eventually, running_bridge

HANGUP = {
    "event_type": "hangup",
    "direction": "inbound",
    "caller_id_number": "02123205062",
    "destination_number": "1001",
    "connected_user": "",
    "answer_stamp": "",
    "start_stamp": "2026-11-24 14:05:00",
    "end_stamp": "2026-11-24 14:05:20",
    "hangup_cause": "ORIGINATOR_CANCEL",
}
SECRETS = ("pa55w0rd", "T0ken-Of-The-Office", "3ccdd113474722377935511fc85d3dd4")


def config(urls: list[str]) -> str:
    return f"""
locale = "tr"
[log]
level = "debug"
[connectors.team_chat]
kind = "apprise"
on = ["call.missed"]
urls = {urls}
"""


def paused(bridge: BridgeProcess) -> dict[str, str]:
    found: dict[str, str] = bridge.get("/readyz").json()["paused"]
    return found


def test_a_target_that_is_refused_is_paused_alone_and_gets_what_waits_once_its_url_is_mended(
    tmp_path: Path, sink: RecordingSink
) -> None:
    at = f"127.0.0.1:{sink.port}"
    fine = f"mmost://{at}/{SECRETS[2]}"
    refused = f"json://office:{SECRETS[0]}@{at}/{SECRETS[1]}"
    mended = f"json://{at}/mended"
    sink.answer_with(lambda one: Answer(401, one.path.encode()) if SECRETS[1] in one.path else Answer())

    with running_bridge(tmp_path, config([fine, refused])) as bridge:
        for number in range(3):
            assert bridge.post("/event", HANGUP | {"call_uuid": str(number)}).status_code == 200
        eventually(lambda: len([one for one in sink.arrivals if one.path.startswith("/hooks/")]) == 3, "the messages")
        reason = eventually(lambda: paused(bridge), "the pause")["team_chat"]
        assert reason.startswith(f"{target_of(refused)}: the server answered 401 Unauthorized")
        (row,) = bridge.rows("connectors")
        assert (row["state"], row["error"], row["waiting"]) == ("paused", reason, 3)
        assert {row["target"] for row in bridge.rows("deliveries")} == {target_of(fine), target_of(refused)}
        assert target_of(fine) in bridge.run("deliveries").stdout
        assert bridge.stop() == 0

    with running_bridge(tmp_path, config([fine, mended])) as bridge:
        eventually(lambda: len([one for one in sink.arrivals if one.path == "/mended"]) == 3, "what waited")
        assert bridge.stop() == 0

    written = [path.read_bytes() for path in tmp_path.iterdir() if path.name != "bridge.toml"]
    assert f"sent to {target_of(mended)}".encode() in b"".join(written)
    for secret in SECRETS:
        assert [text for text in written if secret.encode() in text] == []


def test_a_url_that_cannot_be_used_is_named_by_check_and_not_shown(tmp_path: Path) -> None:
    bridge = BridgeProcess(tmp_path, config(["json://localhost", f"tgram://{SECRETS[1]}"]))
    done = bridge.run("check")

    assert done.returncode == 1
    assert "connectors.team_chat.urls.1: is no complete URL of Telegram" in done.stdout + done.stderr
    assert SECRETS[1] not in done.stdout + done.stderr
