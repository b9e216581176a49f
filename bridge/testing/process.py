"""A real bridge in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any, Protocol

import requests
from click.testing import CliRunner

from bridge.testing.stores import put_empty_store
from bridge.testing.waiting import PATIENCE, eventually


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class BridgeProcess:
    """A real bridge: `callbridge serve` in a process of its own, with its config and store in `folder`.

    `config` is TOML without [server] and [store], which are made here: `server` adds keys to the former, `store` is the
    URL of another store than an SQLite file of its own. `options` follow `serve`; `environ` is added to the
    environment.
    """

    _program: Sequence[str] = (sys.executable, "-m", "bridge.cli")

    def __init__(
        self,
        folder: Path,
        config: str,
        *,
        server: str = "",
        store: str | None = None,
        options: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._options = options
        self._keeps_a_file = store is None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = folder / "bridge.toml"
        self.database = folder / "callbridge.db"
        self.log = folder / "bridge.log"
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CALLBRIDGE_")},
            **(environ or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        made = f'[server]\nport = {self.port}\n{server}\n[store]\nurl = "{store or f"sqlite:///{self.database}"}"'
        self.config.write_text(f"{_before_tables(config)}\n{made}\n{_tables(config)}", encoding="utf-8")

    def start(self, *, until_ready: bool = True) -> None:
        """Start it, and wait until it is ready."""
        if self._keeps_a_file:
            put_empty_store(self.database)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # our own program
                [*self._program, "serve", *self._options, "--config", str(self.config)],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self._environ,
            )
        if until_ready:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until it is ready."""
        eventually(self._is_ready, f"the start of the bridge ({self.log.read_text()})")

    def post(self, path: str, form: Mapping[str, str] | bytes | None = None, **options: Any) -> requests.Response:
        """Post a form (or a raw body) to a path of the bridge."""
        options.setdefault("timeout", PATIENCE)
        return requests.post(f"{self.url}{path}", data=form, **options)  # noqa: S113  # there is one: see above

    def get(self, path: str) -> requests.Response:
        """Get a path of the bridge."""
        return requests.get(f"{self.url}{path}", timeout=PATIENCE)

    def run(self, *arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of `callbridge` with this bridge's config, beside it."""
        return subprocess.run(  # noqa: S603  # our own program
            [sys.executable, "-m", "bridge.cli", *arguments, "--config", str(self.config)],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**self._environ, **(environ or {})},
            timeout=60,
            check=False,
        )

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        """What a command prints with --json, run beside this bridge in the process of the caller, which is quicker."""
        from bridge.cli import main  # only who asks for rows needs the commands

        with chdir(self.folder):
            done = CliRunner().invoke(main, [*arguments, "--json", "--config", str(self.config)], env=self._environ)
        assert done.exit_code == 0, done.output
        return [json.loads(line) for line in done.stdout.splitlines()]

    @property
    def pid(self) -> int:
        """The process id of the main process."""
        assert self._process is not None
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send a signal to the main process, unless it has ended."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, within: float = 15.0) -> int:
        """Wait for its end; returns the exit code."""
        assert self._process is not None
        return self._process.wait(within)

    def stop(self) -> int:
        """SIGTERM, and wait; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """kill -9 of the main process, and wait for it."""
        self.signal(signal.SIGKILL)
        self.wait()

    def close(self) -> None:
        """Kill it, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the bridge ended: {self.log.read_text()}")
        try:
            # Most looks find nobody listening: to learn that by a request takes twenty times as long.
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
            return requests.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except OSError:
            return False


class StartBridge(Protocol):
    """The fixture `start_bridge`."""

    def __call__(
        self, config: str, *, folder: Path | None = None, server: str = "", environ: Mapping[str, str] | None = None
    ) -> BridgeProcess:
        """Start a bridge with this config and wait until it is ready; see `BridgeProcess`.

        Without a `folder` it gets a new one.
        """


@contextmanager
def running_bridge(folder: Path, config: str, **options: Any) -> Iterator[BridgeProcess]:
    """A bridge that is ready, and is killed at the end if it still runs. `options` are those of `BridgeProcess`."""
    bridge = BridgeProcess(folder, config, **options)
    try:
        bridge.start()
        yield bridge
    finally:
        bridge.close()


def _before_tables(config: str) -> str:
    return config.partition("\n[")[0] if not config.lstrip().startswith("[") else ""


def _tables(config: str) -> str:
    return config.removeprefix(_before_tables(config))
