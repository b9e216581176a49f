"""A bridge with screens, agents who watch them, and browsers."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from callbridge_popup import grants
from callbridge_popup.connector import Popup
from callbridge_popup.grants import Issued, new_grant
from callbridge_popup.hub import GRANTS, SESSIONS
from callbridge_popup.settings import PopupSettings
from click.testing import CliRunner, Result
from flask import Flask
from werkzeug.test import Client, TestResponse

from bridge import Contact, Directories, Number
from bridge.testing import BridgeProcess, connector_context, eventually, running_bridge

CONTACTS = """\
name,company,phone,id,note
Ayşe Yılmaz,Yılmaz Lojistik,0532 123 45 67,4711,"Prefers to be called back after 14:00.
Contract renewal in December."
Mehmet Demir,Demir Yapı,0532 000 00 02,5001,
Elif Demir,Demir Yapı,0532 000 00 02,5002,Bookkeeping
LONG NAME,LONG NAME,0532 000 00 77,x,LONG NAME
<img src=x onerror=alert(1)><b>Bold</b>,"<script>alert(2)</script>",0532 000 00 66,x&y=1?#/..,<i>note</i>
"""
CONFIG = """
locale = "LOCALE"
[connectors.screens]
kind = "popup"
on = ["call.*", "leg.ended"]
crm_url = "https://crm.example/contacts/{contact_id}"
new_url = "https://crm.example/contacts/new?phone={e164}"
allowed_origins = ["https://crm.example", "http://localhost:CRM_PORT"]
MORE
[directories.customers]
kind = "contacts"
path = "FOLDER/customers.csv"
"""
CALL = {
    "domain_id": "101",
    "direction": "inbound",
    "caller_id_number": "05321234567",
    "destination_number": "02129510292",
    "queue": "200",
}


class Listener:
    """A stream that is being read; `cards` has what it said of calls, the newest at the end."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        there = urlsplit(url)
        self._connection = http.client.HTTPConnection(there.hostname or "", there.port, timeout=30)
        self._connection.request("GET", there.path, headers=dict(headers))
        self._answer = self._connection.getresponse()
        self.status = self._answer.status
        self.said: list[tuple[int, str, Any]] = []
        self.is_over = threading.Event()
        self._socket = self._connection.sock
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            while line := self._answer.readline():
                text = line.decode().rstrip("\n")
                if text and not text.startswith(":"):
                    name, _, value = text.partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    self.said.append((int(fields.get("id", 0)), fields["event"], json.loads(fields["data"])))
                    fields = {}
        except (OSError, http.client.HTTPException):
            pass  # it broke off
        self.is_over.set()

    @property
    def cards(self) -> list[dict[str, Any]]:
        """Everything said of cards so far."""
        return [data for _, event, data in list(self.said) if event == "call"]

    def state(self, call_id: str) -> str | None:
        """How a call stands on this screen."""
        return next((card["state"] for card in reversed(self.cards) if card["call_id"] == call_id), None)

    def wait_for(self, call_id: str, state: str) -> dict[str, Any]:
        """The card of a call, as soon as it is in a state."""
        eventually(lambda: self.state(call_id) == state, f"{call_id} {state}; said so far: {self.said}")
        return next(card for card in reversed(self.cards) if card["call_id"] == call_id and card["state"] == state)

    def hello(self) -> dict[str, Any]:
        """What the stream began with."""
        return eventually(lambda: next((data for _, event, data in self.said if event == "hello"), None), "hello")

    def close(self) -> None:
        """Hang up."""
        with suppress(OSError):  # the bridge was quicker
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._connection.close()


class Screens:
    """A bridge with a popup connector, a PBX that posts to it, and agents."""

    def __init__(self, bridge: BridgeProcess, stack: ExitStack) -> None:
        self.bridge = bridge
        self.home = f"{bridge.url}/popup/"
        self._stack = stack
        self._open: set[str] = set()

    def grant(self, *extensions: str) -> dict[str, Any]:
        """What `callbridge popup grant` gives."""
        (granted,) = self.bridge.rows("popup", "grant", *extensions)
        return granted

    def run(self, *arguments: str) -> Result:
        """A command beside the bridge, in the process of the test, which is quicker than one of its own."""
        (command,) = entry_points(group="console_scripts", name="callbridge")
        return CliRunner().invoke(command.load(), [*arguments, "--config", str(self.bridge.config)])

    def listen(self, granted: Mapping[str, Any], after: int | None = None, **headers: str) -> Listener:
        """Open a stream with the token of a grant."""
        headers |= {"Authorization": f"Bearer {granted['token']}"}
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        listener = Listener(f"{self.home}stream", headers)
        self._stack.callback(listener.close)
        assert listener.status == 200
        listener.hello()
        return listener

    def post(self, event_type: str, call_id: str, extension: str = "", **fields: str) -> None:
        """Post an event of a call, as the PBX does."""
        form = CALL | {"event_type": event_type, "call_uuid": call_id, "dialed_user": extension} | fields
        assert self.bridge.post("/event", form).text == call_id
        (self._open.discard if event_type == "hangup" else self._open.add)(call_id)

    def end_calls(self) -> None:
        """Hang up whatever still rings or talks."""
        for call_id in list(self._open):
            self.post("hangup", call_id, connected_user="", answer_stamp="", hangup_cause="ORIGINATOR_CANCEL")


@contextmanager
def open_screens(folder: Path, *, locale: str = "en", crm_port: int = 1, more: str = "") -> Iterator[Screens]:
    """A bridge with a popup connector in a folder."""
    (folder / "customers.csv").write_text(CONTACTS.replace("LONG NAME", "Ayşe Yılm " * 50), "utf-8")
    text = (
        CONFIG.replace("MORE", more)
        .replace("FOLDER", str(folder))
        .replace("LOCALE", locale)
        .replace("CRM_PORT", str(crm_port))
    )
    with ExitStack() as stack:
        yield Screens(stack.enter_context(running_bridge(folder, text)), stack)


@pytest.fixture(scope="session")
def new_screens() -> Callable[..., Any]:
    """Makes a bridge of a test's own: `with new_screens(folder) as screens`."""
    return open_screens


@pytest.fixture(scope="session")
def screens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screens]:
    """A bridge with screens. Tests share it, so each uses extensions and calls of its own."""
    with open_screens(tmp_path_factory.mktemp("screens")) as one:
        yield one


# --- desks --------------------------------------------------------------------------------------------------------

CRM = "https://crm.example"
OWN = "http://localhost"


class NobodyKnows:
    """Directories that answer, and know nobody."""

    def find(self, number: Number, seconds: float | None = None) -> Sequence[Contact] | None:
        return ()


class Desk:
    """A connector that runs within the test."""

    def __init__(self, locale: str, home: str, directories: Directories, **settings: Any) -> None:
        context = connector_context("screens", locale="tr" if locale == "tr" else "en")
        self.context = replace(context, pages_url=home, directories=directories)
        self.feed = self.context.feed
        self.popup = Popup(PopupSettings.model_validate({"allowed_origins": [CRM], **settings}), self.context)
        self.app = Flask("test", static_folder=None)
        self.app.register_blueprint(self.popup.bridge_pages(), url_prefix="/popup")
        self.popup.bridge_start()

    @property
    def hub(self) -> Any:
        return self.popup._hub

    def browser(self) -> Client:
        return self.app.test_client()

    def grant(self, *extensions: str) -> Issued:
        item, issued = new_grant(extensions, "Ayşe", 1.0)
        self.feed.publish(GRANTS, item, keep=None)
        return issued

    def signed_in(self, *extensions: str) -> Client:
        browser = self.browser()
        assert browser.get(f"/popup/in/{self.grant(*extensions).token}").status_code == 303
        return browser

    @staticmethod
    def begins(answer: TestResponse) -> str:
        """What a stream says at first."""
        return next(iter(answer.response)).decode()  # type: ignore[union-attr]  # bytes, as they are sent

    def kept(self) -> str:
        return json.dumps([dict(item.data) for item in self.feed.read([GRANTS, SESSIONS])])


@pytest.fixture
def open_desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Desk]]:
    """Opens desks, on which a PIN is hashed quickly; they are closed at the end of the test."""
    quick = "scrypt:1024:8:1"
    monkeypatch.setattr(grants, "NOBODYS_PIN", grants.NOBODYS_PIN.replace(grants.PIN_METHOD, quick))
    monkeypatch.setattr(grants, "PIN_METHOD", quick)
    desks: list[Desk] = []

    def make(
        locale: str = "en", home: str = f"{OWN}/popup/", directories: Directories | None = None, **settings: Any
    ) -> Desk:
        desks.append(Desk(locale, home, directories or NobodyKnows(), **settings))
        return desks[-1]

    yield make
    for desk in desks:
        desk.popup.bridge_stop()


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    return open_desk()


# --- browsers -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """Where screenshots go."""
    path = Path(__file__).parents[3] / ".artifacts" / "popup"
    path.mkdir(parents=True, exist_ok=True)
    return path


class Window:
    """A browser of its own, as on one agent's computer."""

    def __init__(self, profile: Path) -> None:
        from selenium.webdriver import Chrome, ChromeOptions, ChromeService

        options = ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for argument in (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--force-prefers-reduced-motion",
        ):
            options.add_argument(argument)
        options.add_argument(f"--user-data-dir={profile}")
        options.add_argument("--window-size=600,760")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = Chrome(options=options, service=ChromeService(shutil.which("chromedriver")))

    def open(self, url: str) -> None:
        """Go to a page and wait until its stream is open."""
        self.driver.get(url)
        self.wait_for("return document.body.dataset.status === 'online'", f"the stream of {url}")

    def new_tab(self, url: str) -> str:
        """Open a page in another tab; returns the tab's name."""
        self.driver.switch_to.new_window("tab")
        self.open(url)
        return str(self.driver.current_window_handle)

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns."""
        return self.driver.execute_script(script, *arguments)

    def wait_for(self, script: str, what: str) -> Any:
        """What a script returns, as soon as that is something."""
        return eventually(lambda: self.run(script), f"{what}; the page says {self.text!r}")

    @property
    def text(self) -> str:
        """All that can be read on the page."""
        return str(self.run("return document.body.innerText"))

    def states(self) -> list[str]:
        """How the cards stand, from top to bottom."""
        found = self.run("return [...document.querySelectorAll('.card')].map(card => card.dataset.state)")
        return [str(state) for state in found]

    def wait_for_states(self, *states: str) -> None:
        """Wait until exactly these cards are on the page."""
        eventually(lambda: self.states() == [*states], f"{states}; the page says {self.text!r}")

    def use_scheme(self, scheme: str) -> None:
        """Prefer light or dark, as the device would."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def allow_notifications(self, url: str) -> None:
        """As somebody does who is asked by the browser."""
        origin = url.partition("/popup")[0]
        self.driver.execute_cdp_cmd("Browser.grantPermissions", {"origin": origin, "permissions": ["notifications"]})

    def complaints(self) -> list[str]:
        """What the browser has refused or not understood since it was last asked."""
        said = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        return [one for one in said if "Failed to load resource" not in one]


@pytest.fixture(scope="session")
def new_window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Window]]:
    """Starts a browser; closed at the end of the session."""
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        pytest.skip("no Chromium with its driver is installed (Debian: chromium, chromium-driver)")
    with ExitStack() as stack:

        def start() -> Window:
            window = Window(tmp_path_factory.mktemp("chromium"))
            stack.callback(window.driver.quit)
            return window

        yield start
