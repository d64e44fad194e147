"""Stores completions with `store: true` in one SQLite file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from platformdirs import user_data_path

from minikin.errors import SetupError

MAX_STORED = 100_000
"""Above this number, the oldest are deleted."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS completions (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    model TEXT NOT NULL,
    body BLOB NOT NULL,
    messages BLOB NOT NULL,
    metadata TEXT NOT NULL
)
"""
Order = Literal["asc", "desc"]
_T = TypeVar("_T")


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One stored completion."""

    id: str
    owner: str
    """The owner. Other owners cannot find it."""
    model: str
    body: dict[str, Any]
    """The completion as it was sent, with its settings, without `metadata`."""
    messages: list[dict[str, Any]]
    """The conversation that it answers."""
    metadata: dict[str, str]


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which completions to list."""

    owner: str
    after: str | None = None
    """The id of the last completion on the previous page."""
    limit: int = 20
    order: Order = "asc"
    """`asc`: oldest first; `desc`: newest first."""
    model: str | None = None
    metadata: dict[str, str] = {}
    """Pairs that a completion's metadata must contain."""


def check_database(path: Path) -> None:
    """Open or create the file. Raises SetupError if it cannot store completions."""
    try:
        _connect(path).close()
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SetupError(
            f"Cannot store completions in {path}: {reason}. Set another file with --database."
        ) from error


class CompletionStore:
    """All calls run in a separate thread, so that a slow disk does not stall streams."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or user_data_path("minikin") / "completions.sqlite3"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._open: sqlite3.Connection | None = None

    async def add(self, stored: Stored) -> None:
        """Store one more. If there are too many, the oldest is deleted."""
        values = (
            stored.id,
            stored.owner,
            stored.model,
            msgspec.json.encode(stored.body),
            msgspec.json.encode(stored.messages),
            msgspec.json.encode(stored.metadata).decode(),
        )

        def insert(db: sqlite3.Connection) -> None:
            with db:
                at = db.execute(
                    "INSERT INTO completions (id, owner, model, body, messages, metadata) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    values,
                ).lastrowid
                db.execute("DELETE FROM completions WHERE position <= ?", ((at or 0) - MAX_STORED,))

        await self._run(insert)

    async def get(self, owner: str, identifier: str) -> Stored | None:
        """The completion with this id, if it belongs to `owner`."""
        rows = await self._select("WHERE owner = ? AND id = ?", (owner, identifier))
        return rows[0] if rows else None

    async def find(self, query: Query) -> list[Stored]:
        """Up to `query.limit` completions, and one more if there are more."""
        comparison, direction = (">", "ASC") if query.order == "asc" else ("<", "DESC")
        where, values = ["owner = ?"], [query.owner]
        if query.model is not None:
            where.append("model = ?")
            values.append(query.model)
        for name, value in query.metadata.items():
            where.append("EXISTS (SELECT 1 FROM json_each(metadata) WHERE key = ? AND value = ?)")
            values += [name, value]
        if query.after is not None:
            position = "(SELECT position FROM completions WHERE id = ?)"
            where.append(f"position {comparison} {position}")
            values.append(query.after)
        tail = f"WHERE {' AND '.join(where)} ORDER BY position {direction} LIMIT ?"
        return await self._select(tail, (*values, query.limit + 1))

    async def set_metadata(self, owner: str, identifier: str, metadata: Mapping[str, str]) -> None:
        """Replace the metadata of a completion."""
        text = msgspec.json.encode(metadata).decode()

        def update(db: sqlite3.Connection) -> None:
            with db:
                db.execute(
                    "UPDATE completions SET metadata = ? WHERE owner = ? AND id = ?",
                    (text, owner, identifier),
                )

        await self._run(update)

    async def delete(self, owner: str, identifier: str) -> bool:
        """Delete a completion. Returns False if it does not exist."""

        def remove(db: sqlite3.Connection) -> bool:
            with db:
                sql = "DELETE FROM completions WHERE owner = ? AND id = ?"
                return db.execute(sql, (owner, identifier)).rowcount > 0

        return await self._run(remove)

    def close(self) -> None:
        """Close the file. The store cannot be used after this."""
        if self._open:
            self._thread.submit(self._open.close)
        self._thread.shutdown()

    async def _select(self, tail: str, values: tuple[Any, ...]) -> list[Stored]:
        sql = f"SELECT id, owner, model, body, messages, metadata FROM completions {tail}"
        rows = await self._run(lambda db: db.execute(sql, values).fetchall())
        return [
            Stored(
                id=row[0],
                owner=row[1],
                model=row[2],
                body=msgspec.json.decode(row[3]),
                messages=msgspec.json.decode(row[4]),
                metadata=msgspec.json.decode(row[5]),
            )
            for row in rows
        ]

    async def _run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: work(self._connection()))

    def _connection(self) -> sqlite3.Connection:
        """The file, opened on first use, so that a server that stores nothing writes nothing."""
        if self._open is None:
            self._open = _connect(self._path)
        return self._open


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        path.touch(mode=0o600)
    database = sqlite3.connect(path)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(_SCHEMA)
    except sqlite3.Error:
        database.close()
        raise
    return database
