"""Two agents at their screens: a real bridge, and a real Chromium for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests

from bridge.testing import Answer, RecordingSink, eventually, recording_sink

ENDED = {"connected_user": "", "answer_stamp": "", "answered": "false", "hangup_cause": "ORIGINATOR_CANCEL"}
CRM_PAGE = """<!doctype html><html><head><title>CRM</title></head><body><h1>A CRM</h1>
<script>window.heard = []; addEventListener("callbridge:call", event => heard.push(event.detail));</script>
<script src="SCRIPT" data-token="TOKEN" data-card></script></body></html>"""


@pytest.fixture(scope="session")
def crm() -> Iterator[RecordingSink]:
    """A web CRM: another origin, which the bridge knows as http://localhost:PORT."""
    with recording_sink() as sink:
        yield sink


@pytest.fixture(scope="session")
def office(
    tmp_path_factory: pytest.TempPathFactory,
    new_screens: Callable[..., Any],
    crm: RecordingSink,
    new_window: Callable[[], Any],  # skips before anything is started
) -> Iterator[Any]:
    """A bridge that has room for three streams and no more."""
    with new_screens(tmp_path_factory.mktemp("office"), crm_port=crm.port, more="streams = 3") as screens:
        yield screens


@pytest.fixture(scope="session")
def tokens(office: Any) -> dict[str, Any]:
    return {extension: office.grant(extension) for extension in ("1001", "1002")}


@pytest.fixture(scope="session")
def agents(office: Any, tokens: dict[str, Any], new_window: Callable[[], Any]) -> tuple[Any, Any]:
    """The browsers of the agents at 1001 and 1002, signed in by their links."""

    def sign_in(granted: dict[str, Any]) -> Any:
        window = new_window()
        window.open(granted["link"])
        return window

    with ThreadPoolExecutor() as threads:
        first, second = threads.map(sign_in, tokens.values())
    return first, second


@pytest.fixture(autouse=True)
def no_card_is_left(office: Any, agents: tuple[Any, Any]) -> Iterator[None]:
    """Each test finds and leaves the screens empty, and no page has broken its own rules."""
    yield
    office.end_calls()
    for agent in agents:
        eventually(lambda agent=agent: not {"ringing", "talking"} & {*agent.states()}, "the end of all calls")
        agent.run("for (const close of document.querySelectorAll('.close')) close.click()")
        assert agent.complaints() == []


def test_a_card_is_on_the_right_screen_alone_and_leaves_it_when_a_colleague_answers(
    office: Any, agents: tuple[Any, Any], artifacts: Path
) -> None:
    first, second = agents
    _tell_a_history(office)
    office.post("ringing", "group", "1001")
    first.wait_for_states("ringing")
    first.wait_for("return document.querySelector('.open')", "the name")
    assert second.states() == []
    for text in (
        "Ayşe Yılmaz",
        "Yılmaz Lojistik",
        "0532 123 45 67",
        "Queue 200",
        "Line (0212) 951 02 92",
        "after 14:00",
    ):
        assert text in first.text
    assert first.driver.title == "☎ Ayşe Yılmaz"
    assert first.run("return document.querySelector('.open').href") == "https://crm.example/contacts/4711"
    assert first.run("return document.querySelectorAll('.past').length") == 3
    assert "Incoming call: Ayşe Yılmaz" in first.run("return document.querySelector('[aria-live]').textContent")
    for scheme in ("dark", "light"):
        first.use_scheme(scheme)
        first.driver.save_screenshot(str(artifacts / f"card-{scheme}.png"))

    office.post("ringing", "group", "1002")
    second.wait_for_states("ringing")
    office.post("answer", "group", "1002", connected_user="1002")
    first.wait_for_states()
    second.wait_for_states("talking")
    assert "No calls" in first.text
    second.wait_for("return document.querySelector('.timer').textContent === '0:01'", "the timer")
    talked = {"answer_stamp": "2026-11-24 10:00:00", "end_stamp": "2026-11-24 10:01:05"}
    office.post("hangup", "group", "1002", connected_user="1002", hangup_cause="NORMAL_CLEARING", **talked)
    second.wait_for_states("completed")
    assert "1:05" in second.text


def _tell_a_history(office: Any) -> None:
    now = datetime.now(ZoneInfo("Europe/Istanbul"))
    for call_id, minutes, wait, talk in (("h1", 1560, 8, 132), ("h2", 195, 35, 0), ("h3", 47, 6, 310)):
        begun = now - timedelta(minutes=minutes)
        moments = (begun, begun + timedelta(seconds=wait), begun + timedelta(seconds=wait + talk))
        start, answer, end = (moment.strftime("%Y-%m-%d %H:%M:%S") for moment in moments)
        taken = {"connected_user": "1002", "answer_stamp": answer, "hangup_cause": "NORMAL_CLEARING"}
        office.post("hangup", call_id, "1002", start_stamp=start, end_stamp=end, **(taken if talk else ENDED))


def test_what_a_caller_or_a_directory_says_is_text(office: Any, agents: tuple[Any, Any]) -> None:
    first, _ = agents
    office.post("ringing", "evil", "1001", caller_id_number="05320000066", queue="<img src=x onerror=alert(1)>")
    first.wait_for("return document.querySelector('.open')", "the name")
    assert "<img src=x onerror=alert(1)><b>Bold</b>" in first.text
    assert "<script>alert(2)</script>" in first.text
    assert "Queue <img src=x onerror=alert(1)>" in first.text
    assert first.run("return document.querySelectorAll('.card :is(img, b, i, script)').length") == 0
    link = first.run("return document.querySelector('.open').href")
    assert link == "https://crm.example/contacts/x%26y%3D1%3F%23%2F.."


def test_several_contacts_are_all_shown_and_an_unknown_caller_can_be_made_one(
    office: Any, agents: tuple[Any, Any], artifacts: Path
) -> None:
    first, _ = agents
    office.post("ringing", "two", "1001", caller_id_number="05320000002")
    first.wait_for("return document.querySelectorAll('.contact .open').length === 2", "both")
    assert "2 contacts have this number" in first.text
    office.post("ringing", "new", "1001", caller_id_number="02165554433")
    link = first.wait_for("return document.querySelector('.actions .open')?.href", "the unknown caller")
    assert link == "https://crm.example/contacts/new?phone=%2B902165554433"
    first.wait_for_states("ringing", "ringing")
    first.driver.save_screenshot(str(artifacts / "several.png"))
    office.post("hangup", "new", "1001", caller_id_number="02165554433", **ENDED)
    first.wait_for_states("missed", "ringing")


def test_a_name_of_any_length_leaves_the_number_and_the_button_on_the_screen(
    office: Any, agents: tuple[Any, Any], artifacts: Path
) -> None:
    first, _ = agents
    office.post("ringing", "long", "1001", caller_id_number="05320000077")
    link = "document.querySelector('.actions .open')"
    first.wait_for(f"return {link}", "the name")
    first.driver.save_screenshot(str(artifacts / "long.png"))
    bottom = f"return {link}.getBoundingClientRect().bottom < innerHeight"
    assert first.run(bottom)
    assert first.run("return document.querySelector('.number').getBoundingClientRect().bottom < innerHeight / 2")
    assert first.run("return document.querySelector('.name').title.length") > 400


def test_a_card_rings_as_long_as_the_config_says(office: Any, agents: tuple[Any, Any]) -> None:
    first, _ = agents
    stays = """const { Deck } = await import("./deck.js");
        const set = []; const real = setTimeout; window.setTimeout = (f, wait) => set.push(wait);
        const deck = new Deck(() => {}, "a-test");
        deck.take({ card: "a", state: "ringing", at: Date.now() });
        deck.greet({ ringing_for: 600, ended_for: 1 });
        window.setTimeout = real;
        return set"""
    before, after = first.driver.execute_async_script(
        f"const done = arguments[0]; (async () => {{ {stays} }})().then(done, error => done([String(error), 0]))"
    )
    assert (round(before, -4), round(after, -4)) == (180_000, 600_000)


def test_the_keyboard_is_enough(office: Any, agents: tuple[Any, Any]) -> None:
    first, _ = agents
    office.post("ringing", "older", "1001")
    first.wait_for_states("ringing")
    office.post("ringing", "newer", "1001", caller_id_number="02165554433")
    first.wait_for_states("ringing", "ringing")
    key = "dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape', bubbles: true}))"
    first.run(f"document.querySelectorAll('.card')[1].focus(); document.activeElement.{key}")
    first.wait_for_states("ringing")
    assert "(0216) 555 44 33" in first.text
    assert first.run("return document.activeElement.className") == "card"
    first.run(f"document.activeElement.{key}")
    first.wait_for_states()
    office.post("answer", "newer", "1001", caller_id_number="02165554433", connected_user="1001")
    office.post("ringing", "third", "1001")
    first.wait_for_states("ringing")


def test_an_agent_chooses_the_language_and_the_look(office: Any, agents: tuple[Any, Any], artifacts: Path) -> None:
    first, _ = agents
    choose = """const field = document.forms.choices[arguments[0]]; field.value = arguments[1];
        field.dispatchEvent(new Event("change", {bubbles: true}));"""
    try:
        first.run(choose, "locale", "tr")
        first.run(choose, "theme", "dark")
        office.post("ringing", "turkish", "1001")
        first.wait_for_states("ringing")
        assert "Gelen çağrı" in first.text
        assert first.run("return document.documentElement.lang") == "tr"
        dark = first.run("return getComputedStyle(document.documentElement).backgroundColor")
        assert dark == "rgb(17, 22, 26)"
        first.wait_for("return document.querySelector('.open')", "the name")
        first.driver.save_screenshot(str(artifacts / "turkish.png"))
        first.driver.refresh()
        first.wait_for_states("ringing")
        assert "Gelen çağrı" in first.text
    finally:
        first.run(choose, "locale", "en")
        first.run(choose, "theme", "auto")


def test_who_asks_for_it_is_notified_hears_the_phone_and_has_the_record_opened(
    office: Any, agents: tuple[Any, Any]
) -> None:
    first, _ = agents
    first.allow_notifications(office.home)
    # The page is not looked at; what the browser is told to do is noted on the way.
    first.run(
        """window.noted = []; window.withdrawn = []; window.tones = 0; window.opened = [];
        Object.defineProperty(document, "hidden", {get: () => true, configurable: true});
        const close = Notification.prototype.close;
        Notification.prototype.close = function () { withdrawn.push(this.tag); return close.call(this); };
        window.Notification = class extends Notification {
            constructor(title, options) { super(title, options); noted.push([title, options.body, this.tag]); } };
        const start = OscillatorNode.prototype.start;
        OscillatorNode.prototype.start = function (...at) { tones += 1; return start.apply(this, at); };
        window.open = (...asked) => { opened.push(asked); return {}; };"""
    )
    choose = """const field = document.forms.choices[arguments[0]];
        field[field.type === "checkbox" ? "checked" : "value"] = arguments[1];
        field.dispatchEvent(new Event("change", {bubbles: true}));"""
    try:
        for name, value in (("notify", True), ("sound", True), ("open", "ringing")):
            first.run(choose, name, value)
        first.wait_for("return JSON.parse(localStorage.getItem('callbridge-popup')).notify", "the permission")
        heard = first.run("return tones")
        office.post("ringing", "alert", "1001")
        named = "return noted.find(note => note[0].includes('Ayşe'))"
        said, body, tag = first.wait_for(named, "the notification")
        assert (said, body) == ("Incoming call: Ayşe Yılmaz", "0532 123 45 67 · Queue 200")
        assert first.run("return tones") > heard > 0
        assert first.run("return opened") == [["https://crm.example/contacts/4711", "callbridge-crm"]]
        office.post("answer", "alert", "1001", connected_user="1002")
        first.wait_for_states()
        assert tag in first.run("return withdrawn")
    finally:
        for name, value in (("notify", False), ("sound", False), ("open", "never")):
            first.run(choose, name, value)
        first.driver.refresh()


def test_all_tabs_of_a_browser_share_one_stream(office: Any, tokens: dict[str, Any], agents: tuple[Any, Any]) -> None:
    first, second = agents
    leading = first.driver.current_window_handle
    others = [first.new_tab(office.home) for _ in range(2)]
    office.post("ringing", "tabs", "1001")
    for tab in (leading, *others):
        first.driver.switch_to.window(tab)
        first.wait_for_states("ringing")
    # Two browsers, four tabs: of three streams one is left, which only the last of these gets.
    listener = office.listen(tokens["1001"])
    full = requests.get(
        f"{office.home}stream", headers={"Authorization": f"Bearer {tokens['1001']['token']}"}, timeout=5
    )
    assert full.status_code == 503
    listener.close()
    first.run("document.querySelector('.close').click()")
    first.driver.switch_to.window(leading)
    first.wait_for_states()

    first.driver.close()
    first.driver.switch_to.window(others[0])
    eventually(lambda: first.run("return document.body.dataset.status") == "online", "another tab takes the lead")
    office.post("ringing", "after", "1001")
    for tab in others:
        first.driver.switch_to.window(tab)
        first.wait_for_states("ringing")
    first.driver.close()
    first.driver.switch_to.window(others[0])
    assert second.states() == []


def test_an_outage_is_told_and_the_ringing_card_comes_back(office: Any, agents: tuple[Any, Any]) -> None:
    first, second = agents
    office.post("ringing", "rings-on", "1001")
    first.wait_for_states("ringing")
    office.post("ringing", "answered-meanwhile", "1002")
    second.wait_for_states("ringing")
    office.bridge.kill()
    first.wait_for("return !document.getElementById('offline').hidden", "the notice")
    assert "Not connected: calls are not shown." in first.text
    second.run("document.querySelector('.close').click()")

    office.bridge.start()
    first.wait_for("return document.getElementById('offline').hidden", "the end of the outage")
    first.wait_for_states("ringing")
    office.post("answer", "rings-on", "1001", connected_user="1002")
    first.wait_for_states()
    second.wait_for("return document.body.dataset.status === 'online'", "the other one")


def test_a_web_crm_gets_events_and_a_card(
    office: Any, tokens: dict[str, Any], agents: tuple[Any, Any], crm: RecordingSink, artifacts: Path
) -> None:
    _, second = agents
    page = CRM_PAGE.replace("SCRIPT", f"{office.home}embed.js").replace("TOKEN", tokens["1002"]["token"])
    crm.answer_with(Answer(200, page.encode(), {"Content-Type": "text/html; charset=utf-8"}))
    here = second.driver.current_window_handle
    second.driver.switch_to.new_window("tab")
    try:
        second.driver.get(f"http://localhost:{crm.port}/")
        second.wait_for("return document.querySelector('callbridge-card')", "the card's place")
        office.post("ringing", "crm", "1002")
        second.wait_for("return heard.some(card => card.state === 'ringing' && card.contacts?.length)", "the event")
        name = "return document.querySelector('callbridge-card').shadowRoot.querySelector('.name')?.textContent"
        assert second.wait_for(name, "the card") == "Ayşe Yılmaz"
        second.driver.save_screenshot(str(artifacts / "embedded.png"))
        office.post("answer", "crm", "1002", connected_user="1009")
        second.wait_for("return heard.at(-1).state === 'gone'", "the end")
        second.wait_for(f"{name} === undefined", "the card's end")
        assert second.complaints() == []

        second.driver.get(f"http://127.0.0.1:{crm.port}/")  # the same page at an address nobody has allowed
        said = eventually(second.complaints, "the refusal")
        assert any("allowed_origins" in one for one in said)
        assert second.run("return heard") == []
    finally:
        second.driver.close()
        second.driver.switch_to.window(here)


def test_an_agent_signs_in_by_pin_and_out_and_a_revoked_one_is_shown_the_door(
    office: Any, agents: tuple[Any, Any], artifacts: Path
) -> None:
    first, _ = agents
    granted = office.grant("1003")
    first.run("document.getElementById('sign-out').requestSubmit()")
    _sign_in(first, "1003", "00000000")
    said = first.wait_for("return document.querySelector('.error')?.textContent", "the refusal")
    assert said == "This extension and this PIN do not belong together."
    first.driver.save_screenshot(str(artifacts / "sign-in.png"))
    _sign_in(first, "1003", granted["pin"])
    first.wait_for("return document.body.dataset.status === 'online'", "the stream")
    assert first.run("return document.getElementById('extensions').textContent") == "1003"
    assert office.run("popup", "revoke", "1003").exit_code == 0
    _sign_in(first, "1003", granted["pin"])
    assert first.wait_for("return document.querySelector('.error')?.textContent", "the refusal") == said


def _sign_in(window: Any, extension: str, pin: str) -> None:
    window.wait_for("return document.querySelector('[name=pin]')", "the page to sign in on")
    window.run(
        """document.querySelector('[name=extension]').value = arguments[0];
        document.querySelector('[name=pin]').value = arguments[1];
        document.querySelector('.error')?.remove();
        document.querySelector('.primary').click()""",
        extension,
        pin,
    )
