"""The tables of the database. `migrations/` creates them; a test compares the two."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator


class Json(TypeDecorator[Any]):
    """A JSON value as bytes, so that any text can be in it."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> bytes | None:
        """The value that is stored."""
        return None if value is None else msgspec.json.encode(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        """The value that was stored."""
        return None if value is None else msgspec.json.decode(value)


class JsonText(TypeDecorator[Any]):
    """A JSON value as text that a query can search."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str:
        """The value that is stored."""
        return msgspec.json.encode(value).decode()

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        """The value that was stored."""
        return msgspec.json.decode(value)


class Name(TypeDecorator[str]):
    """A name or an id. No stored one has NUL or a lone surrogate, which some databases refuse."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        """The value that is stored or looked up."""
        if not value:
            return value
        return value.replace("\0", "\ufffd").encode(errors="surrogatepass").decode(errors="replace")


_WHOLE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _position() -> sa.Column[int]:
    """The order of arrival."""
    return sa.Column("position", _WHOLE, primary_key=True)


def _identity() -> tuple[sa.Column[int], sa.Column[str], sa.Column[str]]:
    return (
        _position(),
        sa.Column("id", Name, nullable=False, unique=True),
        sa.Column("owner", Name, nullable=False),
    )


def _where(condition: str) -> dict[str, Any]:
    """The rows of an index."""
    return {f"{name}_where": sa.text(condition) for name in ("sqlite", "postgresql")}


metadata = sa.MetaData()
completions = sa.Table(
    "completions",
    metadata,
    *_identity(),
    sa.Column("model", Name, nullable=False),
    sa.Column("body", Json, nullable=False),
    sa.Column("messages", Json, nullable=False),
    sa.Column("metadata", JsonText, nullable=False),
    sa.Index("completions_of_owner", "owner", "position"),
)
responses = sa.Table(
    "responses",
    metadata,
    *_identity(),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Column("body", Json, nullable=False),
    sa.Column("context", Json, nullable=False),
    sa.Column("request", Json),
    sa.Column("runner", Name),
    sa.Index("responses_of_owner", "owner", "position"),
    sa.Index("responses_by_expiry", "expires_at"),
    sa.Index("responses_of_runner", "runner", **_where("request IS NOT NULL")),
)
response_events = sa.Table(
    "response_events",
    metadata,
    sa.Column("response", Name, primary_key=True),
    sa.Column("runner", Name, primary_key=True),
    sa.Column("last", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("ends", sa.Boolean, nullable=False),
    sa.Column("events", Json, nullable=False),
    sa.Column("stored_at", sa.BigInteger, nullable=False),
    sa.Index("response_events_by_age", "stored_at"),
)
items = sa.Table(
    "items",
    metadata,
    sa.Column("owner", Name, primary_key=True),
    sa.Column("id", Name, primary_key=True),
    sa.Column("response", Name),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("body", Json, nullable=False),
    sa.Index("items_by_expiry", "expires_at"),
    sa.Index("items_of_response", "owner", "response"),
)
conversations = sa.Table(
    "conversations",
    metadata,
    *_identity(),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("metadata", JsonText, nullable=False),
    sa.Index("conversations_of_owner", "owner", "position"),
)
conversation_items = sa.Table(
    "conversation_items",
    metadata,
    _position(),
    sa.Column("conversation", Name, nullable=False),
    sa.Column("owner", Name, nullable=False),
    sa.Column("id", Name, nullable=False),
    sa.UniqueConstraint("conversation", "id"),
    sa.Index("conversation_items_by_id", "owner", "id"),
)
files = sa.Table(
    "files",
    metadata,
    *_identity(),
    sa.Column("purpose", Name, nullable=False),
    sa.Column("filename", JsonText, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Index("files_of_owner", "owner", "position"),
    sa.Index("files_by_expiry", "expires_at"),
)
batches = sa.Table(
    "batches",
    metadata,
    *_identity(),
    sa.Column("ended", sa.Boolean, nullable=False),
    sa.Column("body", Json, nullable=False),
    sa.Column("options", Json, nullable=False),
    sa.Column("runner", Name),
    sa.Index("batches_of_owner", "owner", "position"),
    sa.Index("batches_of_runner", "runner", **_where("NOT ended")),
)
batch_lines = sa.Table(
    "batch_lines",
    metadata,
    sa.Column("batch", Name, primary_key=True),
    sa.Column("line", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("state", Name, nullable=False),
    sa.Column("request", sa.LargeBinary, nullable=False),
    sa.Column("result", Json),
    sa.Index("batch_lines_by_state", "batch", "state", "line"),
)
