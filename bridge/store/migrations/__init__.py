"""The migrations, run by alembic; `versions/` holds one file a revision."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from bridge.errors import StoreError


def upgrade(connection: Connection) -> None:
    """Bring the schema to the newest revision within the transaction of `connection`.

    Raises StoreError for a store that a newer callbridge has migrated: writing to it could lose what it keeps.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    script = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    if current == script.get_current_head():
        return
    if current is not None and current not in {revision.revision for revision in script.walk_revisions()}:
        raise StoreError(f"the store was made by a newer callbridge (revision {current}): install that one")
    command.upgrade(config, "head")
