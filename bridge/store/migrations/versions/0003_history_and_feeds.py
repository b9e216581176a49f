"""The outside number of each call, to find its history by; the feeds of the connectors."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("outside_party", sa.Text(), nullable=True))
    if op.get_bind().dialect.name == "sqlite":  # no other database holds calls from before
        op.execute(
            "UPDATE calls SET outside_party = CASE json_extract(call, '$.direction') WHEN 'internal' THEN NULL "
            "WHEN 'outbound' THEN json_extract(call, '$.called.e164') ELSE json_extract(call, '$.caller.e164') END"
        )
    op.create_index(
        "calls_by_outside_party",
        "calls",
        ["outside_party", "first_received_at"],
        unique=False,
        sqlite_where=sa.text("outside_party IS NOT NULL"),
        postgresql_where=sa.text("outside_party IS NOT NULL"),
    )
    op.create_table(
        "feed",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("connector", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("published_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("feed_by_channel", "feed", ["connector", "channel", "id"], unique=False)
    op.create_index(
        "feed_by_expiry",
        "feed",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("expires_at IS NOT NULL"),
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )
