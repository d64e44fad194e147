"""Chat completions with `store: true`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec.structs import asdict
from sqlalchemy.ext.asyncio import AsyncConnection

from minikin.store.database import Database
from minikin.store.kept import Filter, ListedCompletion, Page, StoredCompletion
from minikin.store.paging import paged
from minikin.store.tables import completions as table

MAX_STORED = 100_000
"""Above this number, the oldest are deleted."""


class Completions:
    """The stored completions of all owners."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, stored: StoredCompletion) -> None:
        """Store one more. If there are too many, the oldest is deleted."""
        row = asdict(stored)

        async def insert(db: AsyncConnection) -> None:
            made = await db.execute(sa.insert(table).returning(table.c.position), row)
            oldest = made.scalar_one() - MAX_STORED
            if oldest > 0:
                await db.execute(sa.delete(table).where(table.c.position <= oldest))

        await self._database.group_commit.run(insert)

    async def get(self, owner: str, identifier: str) -> StoredCompletion | None:
        """The completion with this id, if it belongs to `owner`."""
        query = sa.select(table).where(*_one(owner, identifier))
        found = await self._database.select(StoredCompletion, query)
        return found[0] if found else None

    async def find(
        self, owner: str, page: Page, only: Filter
    ) -> tuple[list[ListedCompletion], Page]:
        """Up to `page.limit` completions, and one more if there are more.

        Also the page, with a smaller limit if they are large.
        """
        size = sa.func.length(table.c.body)
        page = await self._database.fitting(page, _listed((size,), owner, page, only))
        query = _listed((table.c.id, table.c.body, table.c.metadata), owner, page, only)
        return await self._database.select(ListedCompletion, query), page

    async def set_metadata(self, owner: str, identifier: str, metadata: dict[str, str]) -> None:
        """Replace the metadata of a completion."""
        async with self._database.write() as db:
            await db.execute(
                sa.update(table).where(*_one(owner, identifier)).values(metadata=metadata)
            )

    async def delete(self, owner: str, identifier: str) -> bool:
        """Delete a completion. Returns False if it does not exist."""
        async with self._database.write() as db:
            gone = await db.execute(sa.delete(table).where(*_one(owner, identifier)))
            return gone.rowcount > 0


def _listed(
    what: Sequence[sa.ColumnElement[Any]], owner: str, page: Page, only: Filter
) -> sa.Select[Any]:
    query = sa.select(*what)
    if only.model is not None:
        query = query.where(table.c.model == only.model)
    for pair in only.metadata.items():
        query = query.where(_has(*pair))
    return paged(query, table, page, table.c.owner == owner)


def _one(owner: str, identifier: str) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.owner == owner, table.c.id == identifier


def _has(name: str, value: str) -> sa.ColumnElement[bool]:
    """Whether the metadata has this pair.

    The text of the pair, after a bracket or a comma, is in the JSON text only as that pair: inside
    of a string, its quotes would have backslashes. `replace` compares exactly in every database.
    """
    pair = msgspec.json.encode({name: value}).decode()[1:-1]
    text = sa.type_coerce(table.c.metadata, sa.Text)
    found = [sa.func.replace(text, before + pair, "") != text for before in "{,"]
    return sa.or_(*found)
