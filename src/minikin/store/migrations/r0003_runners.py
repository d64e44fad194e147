"""The server that runs a response or a batch."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns. What older versions left has no runner, and any server takes it over."""
    for table, runs in (("responses", "request IS NOT NULL"), ("batches", "NOT ended")):
        op.add_column(table, sa.Column("runner", sa.Text))
        where: dict[str, Any] = {
            f"{name}_where": sa.text(runs) for name in ("sqlite", "postgresql")
        }
        op.create_index(f"{table}_of_runner", table, ["runner"], **where)
