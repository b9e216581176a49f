"""Each target of a connector has a health of its own, and is claimed for by itself."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_PENDING = sa.text("state = 'pending'")


def upgrade() -> None:
    op.create_table(
        "connectors_by_target",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("health", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", "target"),
    )
    op.execute("INSERT INTO connectors_by_target (name, target, health) SELECT name, '', health FROM connectors")
    op.drop_table("connectors")
    op.rename_table("connectors_by_target", "connectors")
    op.drop_index("deliveries_due", "deliveries")
    op.create_index(
        "deliveries_due",
        "deliveries",
        ["connector", "target", "due_at"],
        unique=False,
        sqlite_where=_PENDING,
        postgresql_where=_PENDING,
    )
