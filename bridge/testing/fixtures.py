"""The fixtures of the test kit: pytest finds them wherever callbridge is installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.register_assert_rewrite("bridge.testing.contract")

from bridge.model import EVENT_TYPES, Event  # noqa: E402  # what is imported is rewritten no more
from bridge.testing.pbx import ConnectPbx, FakePbx  # noqa: E402
from bridge.testing.process import BridgeProcess, StartBridge, running_bridge  # noqa: E402
from bridge.testing.records import sample_event  # noqa: E402
from bridge.testing.sink import RecordingSink, recording_sink  # noqa: E402


@pytest.fixture
def sink() -> Iterator[RecordingSink]:
    """A local HTTP server that records every request and answers as it is told."""
    with recording_sink() as one:
        yield one


@pytest.fixture
def start_bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartBridge]:
    """Starts a bridge in a process of its own with a config (TOML without [server] and [store]) and waits until it is
    ready; `environ` is added to its environment. It is killed at the end of the test, if it still runs."""
    with ExitStack() as running:

        def start(
            config: str, *, folder: Path | None = None, server: str = "", environ: Mapping[str, str] | None = None
        ) -> BridgeProcess:
            folder = folder or tmp_path_factory.mktemp("bridge")
            return running.enter_context(running_bridge(folder, config, server=server, environ=environ))

        yield start


@pytest.fixture
def fake_pbx() -> ConnectPbx:
    """Makes a stand-in for a PBX that posts to a bridge (`token` as in its config, `source` the kind of the PBX)."""

    def connect(bridge: BridgeProcess, *, token: str = "", source: str = "bulutsantralim") -> FakePbx:
        return FakePbx(bridge.url, token=token, source=source)

    return connect


@pytest.fixture(params=EVENT_TYPES)
def each_event(request: pytest.FixtureRequest) -> Event:
    """A sample event: a test that takes it runs once for each type."""
    return sample_event(request.param)
