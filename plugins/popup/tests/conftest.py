"""A bridge with screens, agents who watch them, and browsers."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from bridge.testing import BridgeProcess, eventually, running_bridge

CONTACTS = """\
name,company,phone,id,note
Ayşe Yılmaz,Yılmaz Lojistik,0532 123 45 67,4711,"Prefers to be called back after 14:00.
Contract renewal in December."
Mehmet Demir,Demir Yapı,0532 000 00 02,5001,
Elif Demir,Demir Yapı,0532 000 00 02,5002,Bookkeeping
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
[directories.customers]
kind = "contacts"
path = "customers.csv"
"""
CALL = {
    "domain_id": "101",
    "direction": "inbound",
    "caller_id_number": "05321234567",
    "destination_number": "02129510292",
    "queue": "200",
}


class Listener:
    """A stream that is being read; `cards` has what it said of calls, the newest of each at the end."""

    def __init__(self, answer: requests.Response) -> None:
        self.answer = answer
        self.said: list[tuple[int, str, Any]] = []
        self.is_over = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            for line in self.answer.iter_lines(chunk_size=1):
                if line and not line.startswith(b":"):
                    name, _, value = line.decode().partition(": ")
                    fields[name] = value
                elif not line and "data" in fields:
                    self.said.append((int(fields.get("id", 0)), fields["event"], json.loads(fields["data"])))
                    fields = {}
        except (requests.RequestException, AttributeError):  # it was closed
            pass
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
        self.answer.close()


class Screens:
    """A bridge with a popup connector, a PBX that posts to it, and agents."""

    def __init__(self, bridge: BridgeProcess, stack: ExitStack) -> None:
        self.bridge = bridge
        self.home = f"{bridge.url}/popup/"
        self._stack = stack

    def grant(self, *extensions: str) -> dict[str, Any]:
        """What `callbridge popup grant` gives."""
        done = self.bridge.run("popup", "grant", *extensions, "--json")
        assert done.returncode == 0, done.stderr
        granted: dict[str, Any] = json.loads(done.stdout)
        return granted

    def listen(self, granted: Mapping[str, Any], after: int | None = None, **headers: str) -> Listener:
        """Open a stream with the token of a grant."""
        headers |= {"Authorization": f"Bearer {granted['token']}"}
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        answer = requests.get(f"{self.home}stream", headers=headers, stream=True, timeout=30)
        assert answer.status_code == 200, answer.text
        listener = Listener(answer)
        self._stack.callback(listener.close)
        listener.hello()
        return listener

    def post(self, event_type: str, call_id: str, extension: str = "", **fields: str) -> None:
        """Post an event of a call, as the PBX does."""
        form = CALL | {"event_type": event_type, "call_uuid": call_id, "dialed_user": extension} | fields
        assert self.bridge.post("/event", form).text == call_id


@contextmanager
def open_screens(folder: Path, config: str = CONFIG, locale: str = "en", crm_port: int = 1) -> Iterator[Screens]:
    """A bridge with a popup connector in a folder."""
    (folder / "customers.csv").write_text(CONTACTS, "utf-8")
    text = config.replace("LOCALE", locale).replace("CRM_PORT", str(crm_port))
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


# --- browsers -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: `CALLBRIDGE_ARTIFACTS`, or a temporary folder."""
    folder = os.environ.get("CALLBRIDGE_ARTIFACTS")
    if not folder:
        return tmp_path_factory.mktemp("artifacts")
    path = Path(folder).resolve()
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Any]:
    """Starts a Chromium of its own (as another agent's computer would have), closed at the end of the session."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no chromium and chromedriver are installed (Debian: chromium, chromium-driver)")
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    def start() -> Chrome:
        options = ChromeOptions()
        options.binary_location = binary
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--lang=en"):
            options.add_argument(argument)
        options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
        options.add_argument("--window-size=560,860")
        return Chrome(options=options, service=ChromeService(driver))

    return start
