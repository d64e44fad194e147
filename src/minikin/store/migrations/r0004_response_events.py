"""The events of background responses that stream."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "response_events",
        sa.Column("response", sa.Text, primary_key=True),
        sa.Column("runner", sa.Text, primary_key=True),
        sa.Column("last", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("ends", sa.Boolean, nullable=False),
        sa.Column("events", sa.LargeBinary, nullable=False),
        sa.Column("stored_at", sa.BigInteger, nullable=False),
    )
    op.create_index("response_events_by_age", "response_events", ["stored_at"])
