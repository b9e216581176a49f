"""Cards from a real bridge: posts of the PBX in, streams out."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import requests

from bridge.testing import BridgeProcess, eventually


def test_a_card_is_on_the_right_screen_alone_and_leaves_it_when_a_colleague_answers(screens: Any) -> None:
    agents = {extension: screens.listen(screens.grant(extension)) for extension in ("1101", "1102", "1103")}
    for extension in ("1101", "1102"):
        screens.post("ringing", "group", extension)
    for extension in ("1101", "1102"):
        card = agents[extension].wait_for("group", "ringing")
        assert (card["extension"], card["queue"], card["line"]) == (extension, "200", "(0212) 951 02 92")

    screens.post("answer", "group", "1102", connected_user="1102")
    agents["1101"].wait_for("group", "gone")
    agents["1102"].wait_for("group", "talking")
    screens.post("user_hangup", "group", "1101", hangup_cause="LOSE_RACE")
    ended = {"connected_user": "1102", "answer_stamp": "2026-11-24 10:00:00", "end_stamp": "2026-11-24 10:01:05"}
    screens.post("hangup", "group", "1102", hangup_cause="NORMAL_CLEARING", **ended)
    card = agents["1102"].wait_for("group", "ended")
    assert (card["result"], card["talk_seconds"]) == ("completed", 65)
    assert agents["1101"].state("group") == "gone"
    assert agents["1103"].cards == []


def test_a_picked_up_call_goes_to_who_picked_it_up(screens: Any) -> None:
    rung, picker = (screens.listen(screens.grant(extension)) for extension in ("1111", "1112"))
    screens.post("ringing", "picked-up", "1111")
    rung.wait_for("picked-up", "ringing")
    screens.post("answer", "picked-up", "1111", connected_user="1112")
    picker.wait_for("picked-up", "talking")
    rung.wait_for("picked-up", "gone")


def test_the_name_and_the_last_calls_follow_the_card(screens: Any) -> None:
    agent = screens.listen(screens.grant("1121"))
    missed = {"connected_user": "", "answer_stamp": "", "answered": "false", "hangup_cause": "ORIGINATOR_CANCEL"}
    screens.post("hangup", "yesterday", "1199", caller_id_number="905321234567", **missed)
    screens.post("ringing", "today", "1121")
    card = eventually(lambda: next((card for card in agent.cards if card["contacts"]), None), "the name")
    (contact,) = card["contacts"]
    assert (contact["name"], contact["directory"]) == ("Ayşe Yılmaz", "customers")
    assert contact["url"] == "https://crm.example/contacts/4711"
    assert "missed" in [call["state"] for call in card["history"]]
    first = agent.cards[0]
    assert (first["call_id"], first["state"]) == ("today", "ringing")


def test_an_agent_with_two_extensions_sees_both_and_no_other(screens: Any) -> None:
    agent = screens.listen(screens.grant("1131", "1132"))
    for extension in ("1130", "1131", "1132"):
        screens.post("ringing", f"at-{extension}", extension)
    agent.wait_for("at-1131", "ringing")
    agent.wait_for("at-1132", "ringing")
    assert agent.state("at-1130") is None


def test_a_repeated_and_a_late_post_change_nothing(screens: Any) -> None:
    agent = screens.listen(screens.grant("1141"))
    screens.post("ringing", "over", "1141")
    screens.post("hangup", "over", "1141", connected_user="", answer_stamp="", hangup_cause="ORIGINATOR_CANCEL")
    agent.wait_for("over", "ended")
    screens.post("ringing", "over", "1141")
    screens.post("ringing", "over", "1142")
    screens.post("ringing", "next", "1141")
    agent.wait_for("next", "ringing")
    assert agent.state("over") == "ended"


def test_grants_are_listed_and_revoked_beside_the_running_bridge(screens: Any) -> None:
    granted = screens.grant("1151")
    assert granted["link"] == f"{screens.home}in/{granted['token']}"
    assert granted["page"] == screens.home
    agent = screens.listen(granted)
    listed = [row for row in screens.bridge.rows("popup", "grants") if row["id"] == granted["id"]]
    assert [row["extensions"] for row in listed] == [["1151"]]
    assert granted["id"] in screens.run("popup", "revoke", "1151").stdout
    assert agent.is_over.wait(10)
    assert requests.get(granted["link"], timeout=10).status_code == 401
    again = screens.run("popup", "revoke", "1151")
    assert again.exit_code == 1
    assert again.stderr == "nothing is granted for 1151: callbridge popup grants lists what is\n"
    assert screens.run("popup", "grant", "not a number").exit_code == 2


def test_the_command_shows_a_person_what_to_hand_over(screens: Any) -> None:
    done = screens.bridge.run("popup", "grant", "1161", "1162", "--name", "Ayşe")
    assert done.returncode == 0, done.stderr
    grant, link, pin, token = done.stdout.splitlines()
    assert grant.endswith(": 1161, 1162 (Ayşe)")
    assert link.startswith(f"Link:  {screens.home}in/")
    assert pin.endswith(f"(with the extension 1161, at {screens.home})")
    assert token.startswith(f"Token: {link.rpartition('/')[2]} ")


def test_what_is_kept_of_a_person_is_exported_and_forgotten(screens: Any) -> None:
    agent = screens.listen(screens.grant("1171"))
    screens.post("ringing", "someone", "1171", caller_id_number="05320000002")
    eventually(lambda: any(card["contacts"] for card in agent.cards), "the name")
    kept = [json.loads(row) for row in screens.run("export", "+905320000002").stdout.splitlines()]
    assert [row["data"]["call"] for row in kept if row["kind"] == "feed"] == [
        '["bulutsantralim", "101", "someone"]'
    ] * 2
    assert screens.run("forget", "+905320000002").exit_code == 0
    assert screens.run("export", "+905320000002").stdout == ""
    with closing(sqlite3.connect(screens.bridge.database)) as store:
        (texts,) = store.execute("SELECT group_concat(data) FROM feed").fetchone()
    assert "Mehmet Demir" not in texts
    assert "0000002" not in texts


def test_no_link_and_no_token_is_in_the_log(screens: Any) -> None:
    granted = screens.grant("1181")
    browser = requests.Session()
    page = browser.get(granted["link"], timeout=5)
    assert (page.url, [one.status_code for one in page.history]) == (screens.home, [303])
    wrong = browser.get(f"{granted['link']}x", timeout=5)
    assert wrong.status_code == 401
    browser.get(f"{screens.home}stream", params={"token": granted["token"]}, stream=True, timeout=5).close()
    assert browser.get(f"{screens.home}stream", params={"token": "x"}, timeout=5).status_code == 401
    pin = {"extension": "1181", "pin": granted["pin"]}
    assert browser.post(f"{screens.home}sign-in", pin, timeout=5).url == screens.home
    log = screens.bridge.log.read_text("utf-8")
    (session,) = browser.cookies.values()
    assert [secret for secret in (granted["token"], granted["pin"], session) if secret in log] == []
    assert session.encode() not in screens.bridge.database.read_bytes()


def test_after_a_crash_the_card_that_rings_comes_back_and_an_old_one_does_not(
    tmp_path: Path, new_screens: Callable[..., Any]
) -> None:
    with new_screens(tmp_path) as screens:
        granted = screens.grant("1001")
        agent = screens.listen(granted)
        screens.post("ringing", "over", "1001")
        agent.wait_for("over", "ringing")
        before = agent.said[-1][0]
        screens.post("ringing", "still", "1001")
        screens.post("ringing", "long", "1001")
        screens.post("answer", "long", "1001", connected_user="1001")
        screens.post("hangup", "over", "1001", connected_user="", answer_stamp="", hangup_cause="NO_ANSWER")
        agent.wait_for("long", "talking")
        agent.wait_for("over", "ended")
        screens.bridge.kill()
        assert agent.is_over.wait(10)

        screens.bridge.start()
        anew = screens.listen(granted)
        assert {card["call_id"]: card["state"] for card in anew.cards} == {"still": "ringing", "long": "talking"}
        assert {card["card"] for card in anew.cards} == {*anew.hello()["cards"]}
        back = screens.listen(granted, after=before)
        assert {card["call_id"]: card["state"] for card in back.cards} == {
            "still": "ringing",
            "long": "talking",
            "over": "gone",
        }
        screens.post("hangup", "still", "1001", connected_user="", answer_stamp="", hangup_cause="NO_ANSWER")
        anew.wait_for("still", "ended")
        back.wait_for("still", "ended")


def test_an_agent_of_any_process_on_the_store_sees_every_call_and_one_of_them_can_stop(
    tmp_path: Path, new_screens: Callable[..., Any]
) -> None:
    with new_screens(tmp_path) as screens:
        (tmp_path / "second").mkdir()
        second = BridgeProcess(tmp_path / "second", "")
        text = screens.bridge.config.read_text("utf-8")
        second.config.write_text(text.replace(f"port = {screens.bridge.port}", f"port = {second.port}"), "utf-8")
        second.start()
        try:
            there = type(screens)(second, screens._stack)
            granted = screens.grant("1001")
            agents = [screens.listen(granted), there.listen(granted)]
            for place, call_id in ((screens, "here"), (there, "there")):
                place.post("ringing", call_id, "1001")
                for agent in agents:
                    agent.wait_for(call_id, "ringing")
            there.post("answer", "here", "1001", connected_user="1002")
            for agent in agents:
                agent.wait_for("here", "gone")
            second.signal(signal.SIGTERM)
            assert second.wait(10) == 0
            assert agents[1].is_over.wait(5)
            screens.post("ringing", "last", "1001")
            agents[0].wait_for("last", "ringing")
        finally:
            second.close()
