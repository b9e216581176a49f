"""What a connector shows: its pages and streams, in a real bridge and within a test; apart from all others."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from bridge.cli import main
from bridge.plugins import load_plugins
from bridge.settings import Settings
from bridge.testing import BridgeProcess, eventually, running_bridge
from tests.plugins_for_tests.install import install

BOARD = (Path(__file__).parent / "plugins_for_tests" / "board.py").read_text("utf-8")
PROXIES = 'trusted_proxies = ["127.0.0.0/8"]'
WALLS = """
[log]
level = "debug"
[connectors.wall]
kind = "board"
on = ["call.*"]
streams = 80
heartbeat = 0.2
[connectors.second]
kind = "board"
on = ["call.missed"]
streams = 0
"""
RINGING = {
    "event_type": "ringing",
    "direction": "inbound",
    "caller_id_number": "02123205062",
    "destination_number": "1001",
}


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the board is installed."""
    site = tmp_path_factory.mktemp("site")
    install(site, "board", BOARD)
    return {"PYTHONPATH": str(site)}


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]) -> Iterator[BridgeProcess]:
    with running_bridge(tmp_path_factory.mktemp("walls"), WALLS, server=PROXIES, environ=environ) as one:
        yield one


def ring(bridge: BridgeProcess, call_id: str, desk: str) -> None:
    assert bridge.post("/event", RINGING | {"call_uuid": call_id, "dialed_user": desk}).text == call_id


class Stream:
    """A stream that is being read."""

    def __init__(self, bridge: BridgeProcess, desk: str, after: int | None = None) -> None:
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        self._session = requests.Session()
        self.answer = self._session.get(f"{bridge.url}/board/desk/{desk}", stream=True, timeout=20, headers=headers)
        self._lines = self.answer.iter_lines()
        assert self.answer.status_code == 200
        assert next(self._lines) == b": hello"

    def next(self) -> tuple[int, Any]:
        """The id and the data of the next item."""
        number = 0
        for line in self._lines:
            word, _, rest = line.decode().partition(": ")
            if word == "id":
                number = int(rest)
            if word == "data":
                return number, json.loads(rest)
        raise AssertionError("the stream has ended")

    def rest(self) -> list[bytes]:
        """What comes until the end."""
        return [line for line in self._lines if line]

    def leave(self) -> None:
        """Hang up."""
        self.answer.close()
        self._session.close()


@contextmanager
def streams(bridge: BridgeProcess, *desks: str) -> Iterator[list[Stream]]:
    with ExitStack() as stack:
        opened = []
        for desk in desks:
            opened.append(Stream(bridge, desk))
            stack.callback(opened[-1].leave)
        yield opened


# --- where they are -----------------------------------------------------------------------------------------------


def test_the_first_connector_of_a_kind_has_its_pages_at_the_kind_and_every_further_one_below(
    bridge: BridgeProcess,
) -> None:
    first, second = bridge.get("/board/").json(), bridge.get("/board/second/").json()

    assert (first["name"], first["desk"], first["url"]) == ("wall", "/board/desk/1", f"{bridge.url}/board/")
    assert (second["name"], second["desk"]) == ("second", "/board/second/desk/1")
    assert second["url"] == f"{bridge.url}/board/second/"
    assert requests.get(f"{bridge.url}/board", timeout=20).json() == first
    assert requests.get(f"{bridge.url}/board/leave", timeout=20).url == f"{bridge.url}/board/"


@pytest.mark.parametrize("path", ["/", "/boards/", "/boar", "/board/nowhere", "//board/", "/board/third/"])
def test_nothing_else_is_theirs(bridge: BridgeProcess, path: str) -> None:
    assert bridge.get(path).status_code == 404


def test_a_page_sees_where_a_request_really_came_from(bridge: BridgeProcess) -> None:
    headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    seen = requests.get(f"{bridge.url}/board/", headers=headers, timeout=20).json()

    assert (seen["from"], seen["scheme"]) == ("203.0.113.9", "https")


# --- apart from all others ----------------------------------------------------------------------------------------


def test_a_page_that_raises_is_answered_500_there_and_logged_and_nothing_else_notices(bridge: BridgeProcess) -> None:
    assert bridge.get("/board/broken?token=s3cret").status_code == 500
    assert bridge.get("/board/exit").status_code == 500
    ring(bridge, "after the fall", "9")

    log = bridge.log.read_text()
    assert "a page of connectors.wall failed" in log
    assert "the board fell off the wall" in log
    assert "s3cret" not in log
    assert bridge.get("/readyz").json()["failed"] == {}


def test_what_a_blueprint_registers_for_a_whole_application_is_for_its_own_pages_alone(bridge: BridgeProcess) -> None:
    stranger = "?stranger=1"

    assert bridge.get(f"/board/{stranger}").status_code == 401
    assert bridge.get(f"/healthz{stranger}").status_code == 200
    assert bridge.post(f"/event{stranger}", RINGING | {"call_uuid": "a stranger"}).status_code == 200


def test_pages_that_use_up_their_threads_are_answered_503_and_the_posts_and_other_pages_are_not(
    bridge: BridgeProcess,
) -> None:
    with ExitStack() as stack:
        session = stack.enter_context(requests.Session())
        sulking = [
            stack.enter_context(session.get(f"{bridge.url}/board/second/sulk", stream=True, timeout=20))
            for _ in range(16)
        ]
        assert {one.status_code for one in sulking} == {200}
        refused = bridge.get("/board/second/")

        assert (refused.status_code, int(refused.headers["Retry-After"]) > 0) == (503, True)
        assert bridge.get("/board/").status_code == 200
        ring(bridge, "while all sulk", "8")


def fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, kind: str) -> str:
    """Why a changed board fails; a good connector beside it works."""
    assert old in BOARD
    changed = BOARD.replace(old, new).replace('name="board"', f'name="{kind}"')
    install(tmp_path, kind, changed, distribution=f"callbridge-broken-{kind}")
    install(tmp_path, "good", BOARD.replace('name="board"', 'name="good"'))
    monkeypatch.syspath_prepend(tmp_path)
    wall, good = {"kind": kind, "on": ["*"]}, {"kind": "good", "on": ["*"]}
    plugins = load_plugins(Settings(connectors={"wall": wall, "fine": good}))
    assert plugins.connectors["fine"].error is None
    assert plugins.connectors["fine"].pages is not None
    assert [fault.path.removesuffix(".kind") for fault in plugins.faults] == ["connectors.wall"]
    return str(plugins.connectors["wall"].error)


@pytest.mark.parametrize(
    ("kind", "old", "new", "reason"),
    [
        ("raising", 'pages = Blueprint("board", __name__)', "raise ValueError('no paint')", "ValueError: no paint"),
        ("pageless", "return pages\n", "return 'pages'\n", "returned a str, not a flask.Blueprint"),
        ("ruleless", '@pages.get("/leave")', '@pages.get("/<a>/<a>")', "duplicate argument 'a'"),
        ("streamless", "lambda settings: settings.streams", "lambda settings: settings.rivers", "rivers"),
    ],
    ids=["raises", "no blueprint", "a bad rule", "streams that raise"],
)
def test_broken_pages_make_their_connector_failed_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, old: str, new: str, reason: str
) -> None:
    assert reason in fails(tmp_path, monkeypatch, old, new, kind)


@pytest.mark.parametrize("kind", ["event", "healthz", "readyz", "metrics"])
def test_a_kind_whose_pages_would_hide_the_bridge_s_own_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    assert f"/{kind} would hide" in fails(tmp_path, monkeypatch, "x", "x", kind)


# --- streams and the feed -----------------------------------------------------------------------------------------


def test_a_stream_says_what_is_delivered_and_goes_on_from_where_it_was_left(bridge: BridgeProcess) -> None:
    with streams(bridge, "1", "2") as (one, two):
        ring(bridge, "first", "1")
        ring(bridge, "second", "2")
        number, first = one.next()
        assert (first["call"], two.next()[1]["call"]) == ("first", "second")
        one.leave()
        ring(bridge, "third", "1")
        again = Stream(bridge, "1", after=number)

        assert again.next()[1] == {"type": "call.ringing", "call": "third", "names": [], "before": first_calls(bridge)}
        again.leave()


def first_calls(bridge: BridgeProcess) -> list[str]:
    """The calls of the caller before the last one, the newest first."""
    calls = [row["id"] for row in bridge.rows("calls") if row["caller"]["e164"] == "+902123205062"]
    return calls[::-1][1:]


def test_more_streams_than_the_intake_has_threads_leave_it_its_own_and_end_when_nobody_listens(
    bridge: BridgeProcess,
) -> None:
    with streams(bridge, *["crowd"] * 80):
        assert bridge.get("/board/open").text == "80"
        ring(bridge, "beside the crowd", "7")
    eventually(lambda: bridge.get("/board/open").text == "0", "the end of the streams")


@pytest.fixture
def twin(tmp_path: Path, bridge: BridgeProcess, environ: dict[str, str]) -> Iterator[BridgeProcess]:
    """Another process on the same store."""
    other = BridgeProcess(tmp_path, "[connectors.wall]\nkind = 'board'\non = ['call.*']\n", environ=environ)
    other.config.write_text(other.config.read_text().replace(str(other.database), str(bridge.database)))
    try:
        other.start()
        yield other
    finally:
        other.close()


def test_two_processes_on_one_store_see_each_other_s_feed_within_a_second_and_sigterm_ends_open_streams(
    bridge: BridgeProcess, twin: BridgeProcess
) -> None:
    with streams(bridge, "5") as (here,), streams(twin, "5") as (there,):
        for teller in (bridge, twin):
            began = time.monotonic()
            ring(teller, f"told by {teller.port}", "5")
            assert here.next() == there.next()
            assert time.monotonic() - began < 1
        began = time.monotonic()
        assert twin.stop() == 0
        assert time.monotonic() - began < 5
        assert b"data" not in b"".join(there.rest())


def test_ids_go_on_after_kill_9_between_publishing_and_answering_and_nothing_published_is_lost(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    config = "[connectors.wall]\nkind = 'board'\non = ['call.*']\nheartbeat = 0.2\nDIE"
    one = BridgeProcess(tmp_path, config, environ=environ)
    text = one.config.read_text()
    try:
        one.config.write_text(text.replace("DIE", "die_after_publishing = true"))
        one.start()
        ring(one, "1", "1")
        one.wait()
        one.config.write_text(text.replace("DIE", ""))
        one.start()
        with streams(one, "1"):
            stream = Stream(one, "1", after=0)
            tries = [stream.next(), stream.next()]
            stream.leave()
        began = time.monotonic()
        with streams(one, "1"):
            assert one.stop() == 0
        assert time.monotonic() - began < 5
    finally:
        one.close()

    assert [data["call"] for _, data in tries] == ["1", "1"]
    assert tries[0][0] < tries[1][0]


# --- commands -----------------------------------------------------------------------------------------------------


@pytest.fixture
def callbridge(
    bridge: BridgeProcess, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Runs a command beside the bridge (in the process of the test); gives its exit code and what it said."""
    monkeypatch.syspath_prepend(environ["PYTHONPATH"])

    def run(*words: str, password: str = "") -> tuple[int, str]:
        extra = {"CALLBRIDGE_CONNECTORS__WALL__PASSWORD": password} if password else {}
        done = CliRunner().invoke(main, [*words, "--config", str(bridge.config)], env=extra)
        return done.exit_code, done.output

    return run


def test_a_command_works_beside_the_bridge_and_its_streams_see_what_it_publishes(bridge: BridgeProcess) -> None:
    with streams(bridge, "note") as (desk,):
        done = bridge.run("board", "say", "note", "Kahve hazır", "--connector", "wall")
        assert (done.returncode, done.stdout.split()[0]) == (0, "wall"), done.stderr
        assert desk.next() == (int(done.stdout.split()[1]), {"note": "Kahve hazır"})


def test_where_several_of_a_kind_are_configured_a_command_asks_which(
    callbridge: Callable[..., tuple[int, str]],
) -> None:
    assert callbridge("board", "say", "1", "x")[0] == 2
    assert "wall, second" in callbridge("board", "say", "1", "x", "--connector", "attic")[1]
    assert callbridge("board", "say", "1", "x", "--connector=second")[1].split()[0] == "second"


def test_commands_are_listed_with_their_options(callbridge: Callable[..., tuple[int, str]]) -> None:
    code, said = callbridge("board", "--help")

    assert code == 0
    assert {"say", "trouble", "watch"} <= set(said.split())
    assert "Put a note on a desk." in said
    assert "--connector" in callbridge("board", "trouble", "mild", "--help")[1]


def test_a_command_waits_for_what_the_bridge_publishes(
    bridge: BridgeProcess, callbridge: Callable[..., tuple[int, str]]
) -> None:
    said: list[str] = []
    watching = threading.Thread(target=lambda: said.append(callbridge("board", "watch", "w", "--connector", "wall")[1]))
    watching.start()
    while watching.is_alive():
        ring(bridge, f"seen {time.monotonic()}", "w")
        watching.join(0.2)

    assert "call.ringing" in said[0]


def test_the_help_needs_no_config_and_names_no_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert CliRunner().invoke(main, ["--help"]).exit_code == 0
    assert CliRunner().invoke(main, ["board"]).exit_code == 2


def test_the_commands_of_a_connector_that_has_failed_say_why(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(environ["PYTHONPATH"])
    config = tmp_path / "bridge.toml"
    config.write_text("[connectors.wall]\nkind = 'board'\non = ['*']\nstreams = 'many'\n")
    done = CliRunner().invoke(main, ["board", "say", "1", "x", "--config", str(config)])

    assert done.exit_code == 1
    assert "connector wall failed: connectors.wall.streams" in done.output


def test_what_a_command_fails_with_holds_no_secret(callbridge: Callable[..., tuple[int, str]]) -> None:
    wall = ("--connector", "wall")
    mild = callbridge("board", "trouble", "mild", *wall, password="hunter2")
    grave = callbridge("board", "trouble", "grave", *wall, password="hunter2")

    assert mild == (1, "the password is ***\n")
    assert (grave[0], "KeyError" in grave[1], "hunter2" in grave[1]) == (1, True, False)


def test_a_kind_that_is_installed_and_of_which_none_is_configured_says_so(
    callbridge: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = callbridge("webhook", "grant", "1001")
    assert (code, "no connector of kind webhook is configured" in said) == (2, True)
    monkeypatch.chdir(tmp_path)
    assert "there is no such file" in CliRunner().invoke(main, ["webhook"]).output


@pytest.mark.parametrize("word", ["bored", "wall"])
def test_a_word_that_is_neither_a_command_nor_a_kind_with_commands_is_no_command(
    callbridge: Callable[..., tuple[int, str]], word: str
) -> None:
    code, said = callbridge(word)
    assert (code, f"No such command '{word}'" in said) == (2, True)
