"""An empty store, made once and copied: to migrate one anew takes longer than most tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory


def put_empty_store(path: Path) -> None:
    """Put an SQLite store that is up to date and holds nothing at `path`, unless there is something."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(_empty_store())


@cache
def _empty_store() -> bytes:
    from bridge.store import Database  # heavy, and most who use the test kit start no bridge

    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        database = Database(f"sqlite:///{path}")
        database.migrate()
        database.close()
        return path.read_bytes()
