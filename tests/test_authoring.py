"""What an author of connectors is told to type works, from nothing to a call that is delivered.

It is done in a fresh environment: the bridge is built and installed there as any other distribution. Only what the
bridge itself needs from elsewhere is taken from the environment of this test, so that nothing is fetched.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest
import requests
from click.testing import CliRunner, Result

import bridge.testing
from bridge.cli import main
from bridge.testing import RecordingSink, eventually, free_port

ROOT = Path(__file__).parents[1]
SECTION = (ROOT / "README.md").read_text("utf-8").partition("\n## Write a connector in ten minutes\n")[2]
NOTEBOOK = ROOT / "examples" / "custom_connector"
OFFLINE = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation"]


def blocks(language: str, text: str) -> list[str]:
    """The fenced blocks of a language in the first section of a text, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text.partition("\n## ")[0], re.M | re.S)
    return [dedent(body) for _, body in found]


class Author:
    """Somebody in a folder with a fresh environment in `.venv`."""

    def __init__(self, folder: Path, environment: Path) -> None:
        self.folder = folder
        (folder / ".venv").symlink_to(environment)
        kept = {name: value for name, value in os.environ.items() if not re.match("CALLBRIDGE_|PYTEST_|PYTHON", name)}
        # 0 turns the isolation off, whatever that looks like.
        pip = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        self._environ = {**kept, **pip, "PATH": f"{environment / 'bin'}:{os.environ['PATH']}"}

    def types(self, *words: str) -> str:
        """Run a command in the folder; returns what it says. It must succeed."""
        done = subprocess.run(words, cwd=self.folder, env=self._environ, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def serves(self, *words: str, port: int) -> Iterator[None]:
        """Run a bridge in the folder until the end, when it must stop well."""
        with (
            (self.folder / "log").open("wb") as log,
            subprocess.Popen(words, cwd=self.folder, env=self._environ, stderr=log) as bridge,
        ):
            try:
                eventually(lambda: bridge.poll() is not None or is_ready(port), "the start of the bridge")
                yield
            finally:
                bridge.send_signal(signal.SIGTERM)
        assert bridge.returncode == 0, (self.folder / "log").read_text()


def is_ready(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the bridge and the PBX it knows, made once for all processes that run the tests."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (shared / "environment.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "environment.made").exists():
            make_environment(shared / "environment", shared / "source")
            (shared / "environment.made").touch()
    return shared / "environment"


def make_environment(environment: Path, source: Path) -> None:
    """Make the environment; the distributions are built from copies, as that leaves traces."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (packages,) = environment.glob("lib/*/site-packages")
    (packages / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n", "utf-8")
    leave = shutil.ignore_patterns("*.egg-info", "__pycache__", "build")
    shutil.copytree(ROOT / "bridge", source / "bridge", ignore=leave)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pbx = shutil.copytree(ROOT / "plugins" / "bulutsantralim", source / "bulutsantralim", ignore=leave)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--ignore-installed", *OFFLINE]
    subprocess.run([*pip, str(source), str(pbx)], check=True)


@pytest.fixture
def author(tmp_path: Path, environment: Path) -> Author:
    return Author(tmp_path, environment)


def test_a_type_checker_finds_the_bridge_also_where_it_is_installed_editable() -> None:
    """It looks into the folders of the path, and knows nothing of the import hooks of editable installs."""
    paths = [sys.executable, "-I", "-c", "import sys; print(*sys.path, sep='\\n')"]
    said = subprocess.run(paths, capture_output=True, text=True, check=True).stdout
    assert str(Path(bridge.__file__).parents[1]) in said.splitlines()


# --- the ways -----------------------------------------------------------------------------------------------------


def test_a_connector_is_written_in_ten_minutes_as_the_readme_says(author: Author, sink: RecordingSink) -> None:
    """Line by line, but for the URL, and the port."""
    making, trying = blocks("sh", SECTION)
    (config,), (module,) = blocks("toml", SECTION), blocks("python", SECTION)
    port = free_port()

    for line in making.splitlines():
        said = author.types(*shlex.split(line))
    assert re.search(r"\d+ passed", said)
    written = author.folder / "callbridge-telegram-notes" / "callbridge_telegram_notes" / "__init__.py"
    assert written.read_text("utf-8") == module

    config = config.replace("https://example.com", sink.url)
    (author.folder / "notes.toml").write_text(f"{config}[server]\nport = {port}\n", "utf-8")
    check, serve, simulate, deliveries = [shlex.split(line.replace("8080", str(port))) for line in trying.splitlines()]
    author.types(*check)
    with author.serves(*serve, port=port):
        author.types(*simulate)
        (arrival,) = sink.wait_for(1)
        eventually(lambda: "delivered" in author.types(*deliveries), "the record of it")

    assert arrival.path == "/a-secret-path"
    assert "call.missed" in arrival.json()["text"]


def test_the_custom_connector_is_built_installed_tested_configured_and_delivers(author: Author) -> None:
    shutil.copytree(NOTEBOOK, author.folder / "mine", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    (config,) = blocks("toml", (NOTEBOOK / "README.md").read_text("utf-8"))
    port = free_port()
    (author.folder / "notebook.toml").write_text(f"{config}[server]\nport = {port}\n", "utf-8")
    with_config = ["--config", "notebook.toml"]

    author.types("python", "-m", "pip", "wheel", *OFFLINE, "--wheel-dir", "dist", "./mine")
    (wheel,) = author.folder.glob("dist/*.whl")
    author.types("python", "-m", "pip", "install", *OFFLINE, str(wheel))
    assert re.search(r"\d+ passed", author.types("python", "-m", "pytest", "-p", "no:cacheprovider", "mine"))

    with author.serves("callbridge", "serve", *with_config, port=port):
        author.types("callbridge", "simulate", "missed", "--to", f"http://127.0.0.1:{port}/event")
        lines = eventually(lambda: _lines(author.folder / "calls.txt", 2), "the second line")
    assert [line.split()[2] for line in lines] == ["call.ringing", "call.missed"]


def _lines(file: Path, count: int) -> list[str] | None:
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    return lines if len(lines) >= count else None


# --- what is refused ----------------------------------------------------------------------------------------------


def new_plugin(*words: str) -> Result:
    return CliRunner().invoke(main, ["new-plugin", *words])


@pytest.mark.parametrize("name", ["Telegram", "2nd", "telegram-notes", "../notes", "notes_", "günlük", "a" * 41, ""])
def test_a_name_that_no_kind_can_have_is_refused(name: str, tmp_path: Path) -> None:
    done = new_plugin(name, "--into", str(tmp_path / "new"))

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f'"{name}" cannot be the name of a kind: write one such as telegram_notes\n'
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["webhook", "bulutsantralim", "serve", "event"])
def test_a_name_that_is_taken_is_refused(name: str, tmp_path: Path) -> None:
    done = new_plugin(name, "--into", str(tmp_path / "new"))

    assert (done.exit_code, done.stderr) == (1, f'"{name}" is taken: choose another name\n')
    assert not (tmp_path / "new").exists()


def test_nothing_that_is_there_is_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "callbridge-notes").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").touch()
    (tmp_path / "file").touch()

    for words in ([], ["--into", "full"], ["--into", "file"], ["--into", "file/below"]):
        done = new_plugin("notes", *words)
        assert done.exit_code == 1
        assert re.fullmatch(r"\S+ (is there already: .*|cannot be written: .*)\n", done.stderr), done.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["callbridge-notes", "diary.txt", "file", "full"]


def test_it_says_where_it_is_and_what_to_do_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()

    for words, folder in ([], "callbridge-my-notes"), (["--into", "empty"], "empty"), (["--into", "a/b"], "a/b"):
        done = new_plugin("my_notes", *words)
        assert (done.exit_code, done.stdout) == (0, f"{folder}\n")
        assert f"pip install -e './{folder}[dev]'" in done.stderr
        assert (tmp_path / folder / "callbridge_my_notes" / "py.typed").exists()


def test_whoever_has_no_pytest_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytest", None)
    monkeypatch.delitem(sys.modules, "bridge.testing.contract", raising=False)
    monkeypatch.delattr(bridge.testing, "contract", raising=False)

    with pytest.raises(ImportError, match=r"ConnectorContract needs pytest: pip install 'callbridge\[testing\]'"):
        _ = bridge.testing.ConnectorContract
