"""The migrations, run by alembic; `versions/` holds one file a revision, named `<revision>_<what it does>.py`."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from bridge.errors import StoreError

_FOLDER = Path(__file__).parent


def upgrade(connection: Connection) -> None:
    """Bring the schema to the newest revision within the transaction of `connection`.

    Raises StoreError for a store that a newer callbridge has migrated: writing to it could lose what it keeps.
    """
    if is_current(connection):
        return
    current = _current(connection)
    if current is not None and not is_known(current):
        raise StoreError(f"the store was made by a newer callbridge (revision {current}): install that one")
    # Only here: alembic costs memory and time, and the schema is nearly always up to date.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def is_current(connection: Connection) -> bool:
    """Whether the schema is at the newest revision."""
    return _current(connection) == newest()


def newest() -> str:
    """The newest revision this callbridge knows."""
    return _revisions()[-1]


def is_known(revision: str) -> bool:
    """Whether this callbridge knows a revision; it does not know those of a newer one."""
    return revision in _revisions()


def _revisions() -> list[str]:
    return sorted(file.name.partition("_")[0] for file in (_FOLDER / "versions").glob("[0-9]*_*.py"))


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
