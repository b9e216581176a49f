"""One suite for every database a store can be kept in: each test here runs on each of them."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest

from bridge import ids
from bridge.store.dialects import postgresql, sqlite


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a lock longer than 50 ms."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    monkeypatch.setitem(postgresql.SESSION, "lock_timeout", "50ms")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """On each database; what is marked `once` says nothing about the store and costs time."""
    databases = ["sqlite"] if metafunc.definition.get_closest_marker("once") else ["sqlite", "postgresql"]
    metafunc.parametrize("store_url", databases, indirect=True)


@pytest.fixture(autouse=True)
def store_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of the store that rigs in `tmp_path` use. Ids of the same moment sort as they were made."""
    numbers = itertools.count()
    monkeypatch.setattr(ids, "secrets", SimpleNamespace(token_hex=lambda size: f"{next(numbers):0{2 * size}x}"))
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'rig.db'}"
    url: str = request.getfixturevalue("cluster").emptied_database()
    (tmp_path / "store.url").write_text(url, "utf-8")
    return url
