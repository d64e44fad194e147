"""Responses, items, conversations, files and batches."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "responses",
        *_identity(),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("context", sa.LargeBinary, nullable=False),
        sa.Column("request", sa.LargeBinary),
    )
    op.create_table(
        "items",
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("response", sa.Text),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "conversations",
        *_identity(),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
    )
    op.create_table(
        "conversation_items",
        _position(),
        sa.Column("conversation", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.UniqueConstraint("conversation", "id"),
    )
    op.create_table(
        "files",
        *_identity(),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
    )
    op.create_table(
        "batches",
        *_identity(),
        sa.Column("ended", sa.Boolean, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("options", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "batch_lines",
        sa.Column("batch", sa.Text, primary_key=True),
        sa.Column("line", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("result", sa.LargeBinary),
    )
    for table in ("completions", "responses", "conversations", "files", "batches"):
        op.create_index(f"{table}_of_owner", table, ["owner", "position"])
    for table in ("responses", "items", "files"):
        op.create_index(f"{table}_by_expiry", table, ["expires_at"])
    op.create_index("items_of_response", "items", ["owner", "response"])
    op.create_index("conversation_items_by_id", "conversation_items", ["owner", "id"])
    op.create_index("batch_lines_by_state", "batch_lines", ["batch", "state", "line"])


def _position() -> sa.Column[int]:
    whole = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    return sa.Column("position", whole, primary_key=True)


def _identity() -> tuple[sa.Column[int], sa.Column[str], sa.Column[str]]:
    return (
        _position(),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("owner", sa.Text, nullable=False),
    )
