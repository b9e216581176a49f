"""The front door: the demo shows the main job and cleans up after itself, and make says what a machine lacks."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from bridge.testing import eventually

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "examples" / "demo" / "demo.py"

REFUSED_FOR_GOOD = f"""
import sys
sys.path.insert(0, {str(DEMO.parent)!r})
import channel, demo
channel.REFUSALS = (channel.Answer(400, b"invalid_blocks", {{"Retry-After": "1"}}),)
sys.exit(demo.main())
"""


class Demo:
    """A demo that runs in a process group of its own, as in a terminal."""

    def __init__(self, folder: Path, *arguments: str, language: str = "C.UTF-8") -> None:
        self.folder = folder
        self._shown = folder / "shown.txt"
        environ = {**os.environ, "TMPDIR": str(folder), "LANG": language, "LC_ALL": language, "COLUMNS": "110"}
        with self._shown.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, *arguments], stdout=out, stderr=out, env=environ, cwd=ROOT, start_new_session=True
            )

    @property
    def shown(self) -> str:
        return self._shown.read_text("utf-8")

    def shows(self, pattern: str) -> re.Match[str]:
        return eventually(lambda: re.search(pattern, self.shown), f"{pattern} in {self.shown}", 60)

    def ends(self) -> int:
        return self.process.wait(60)

    def has_left_nothing(self) -> bool:
        """Whether no process of its group is there any more, nor any file but the one of this test."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return list(self.folder.iterdir()) == [self._shown]
        return False


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    demos: list[Demo] = []

    def start_one(*arguments: str, language: str = "C.UTF-8") -> Demo:
        demos.append(Demo(tmp_path, *arguments, language=language))
        return demos[-1]

    yield start_one
    for demo in demos:
        if not demo.has_left_nothing():
            os.killpg(demo.process.pid, signal.SIGKILL)
        demo.process.wait()


def test_the_missed_calls_of_a_morning_arrive_after_retries(start: Callable[..., Demo]) -> None:
    demo = start(str(DEMO), "--exit", language="tr_TR.UTF-8")

    assert demo.ends() == 0, demo.shown
    assert demo.shown.count("the channel refuses") == 3
    assert "specification's sample was answered 1234" in demo.shown
    missed = re.search(r"(\d+) missed calls, (\d+) messages", demo.shown)
    assert missed
    assert missed[1] == missed[2] == str(demo.shown.count("Kaçan çağrı"))
    assert re.search(r"\(0212\) 320 50 62 +1001 +1001 +missed", demo.shown)
    assert re.search(r"missed_to_channel +call\.missed +delivered +[23] ", demo.shown)
    spreadsheet = demo.shown.partition("calls.csv")[2]
    assert re.search(r"\d\d:\d\d:\d\d +Gelen +\(0212\) 320 50 62 +1001 .*Kaçan", spreadsheet)
    assert demo.has_left_nothing()


def test_it_takes_calls_until_ctrl_c_and_leaves_nothing_behind(start: Callable[..., Demo]) -> None:
    demo = start(str(DEMO))
    form, url = demo.shows(r"curl -d '(.*)' (http://\S+)\n").groups()
    (screen,) = demo.shows(r"open (http://\S+/popup/in/\S+) ").groups()

    assert "page.js" in requests.Session().get(screen).text
    assert requests.post(url, data=form, headers={"Content-Type": "application/x-www-form-urlencoded"}).text == "1234"
    os.killpg(demo.process.pid, signal.SIGINT)

    assert demo.ends() == 0
    assert demo.has_left_nothing()


def test_what_is_not_delivered_makes_it_fail(start: Callable[..., Demo]) -> None:
    demo = start("-c", REFUSED_FOR_GOOD, "--exit")

    assert demo.ends() == 1
    assert "not everything arrived" in demo.shown
    assert re.search(r"missed_to_channel +call\.missed +dead ", demo.shown)


def test_a_kill_in_the_middle_stops_everything_too(start: Callable[..., Demo]) -> None:
    demo = start(str(DEMO))
    demo.shows("The PBX posts")
    demo.process.terminate()

    assert demo.ends() == 128 + signal.SIGTERM
    assert demo.has_left_nothing()


# --- make ---------------------------------------------------------------------------------------------------------


def make(target: str, folder: Path, site: str = "", *arguments: str) -> subprocess.CompletedProcess[str]:
    """make with a Python that is as `site` makes it, and a .venv that is not there yet."""
    (folder / "sitecustomize.py").write_text(site)
    return subprocess.run(
        ["make", target, f"PYTHON={sys.executable}", f"VENV={folder / 'venv'}", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_make_alone_says_what_there_is(tmp_path: Path) -> None:
    told = make("help", tmp_path).stdout

    targets = ["help", "install", "run", "demo", "test", "bench", "faults", "check", "clean"]
    assert sorted(re.findall(r"^make (\w+) +\w", told, re.M)) == sorted(targets)


def test_make_names_the_package_where_venv_is_missing(tmp_path: Path) -> None:
    done = make("demo", tmp_path, "import sys; sys.modules['ensurepip'] = None")

    assert done.returncode != 0
    assert f"apt-get install python{sys.version_info.major}.{sys.version_info.minor}-venv" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_make_says_so_where_python_is_too_old(tmp_path: Path) -> None:
    done = make("install", tmp_path, "import sys; sys.version_info = (3, 9, 2, 'final', 0)")

    assert done.returncode != 0
    assert re.search(r"needs Python 3\.11 or newer, and .* is 3\.9", done.stderr)


def test_make_says_so_where_there_is_no_python(tmp_path: Path) -> None:
    done = make("run", tmp_path, "", "PYTHON=python-that-is-not-there")

    assert done.returncode != 0
    assert "there is no python-that-is-not-there: install Python 3.11 or newer" in done.stderr
