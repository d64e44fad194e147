"""Files: what clients upload, and the results of batches."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import sqlalchemy as sa
from msgspec.structs import asdict
from sqlalchemy.ext.asyncio import AsyncConnection

from minikin.errors import InvalidRequest, NotFound
from minikin.store.contents import Contents, Writer
from minikin.store.database import Database
from minikin.store.kept import Page, StoredFile
from minikin.store.paging import paged
from minikin.store.tables import files as table

MAX_TOTAL_BYTES = 100 * 1024**3
"""Maximum bytes of all files of an owner."""
MAX_FILES = 100_000
"""Maximum files of an owner."""
DRAFT_SECONDS = 24 * 3600
"""When a file that was never finished is deleted."""
_DRAFT = ""
"""The purpose of an unfinished file. No query finds it."""


class Files:
    """The files of all owners."""

    def __init__(self, database: Database, contents: Contents) -> None:
        self._database = database
        self._contents = contents

    @asynccontextmanager
    async def draft(self, owner: str, identifier: str) -> AsyncIterator[Writer]:
        """The content of a new file, which no query finds before `publish`.

        Its row exists before its content, so that a content never remains without one. Raises
        InvalidRequest if the owner has too many files.
        """
        await self._reserve(owner, identifier)
        try:
            async with self._contents.create(identifier) as writer:
                yield writer
        except BaseException:
            await self.discard(identifier)
            raise

    async def publish(self, file: StoredFile) -> None:
        """Make a finished draft a file."""
        async with self._database.write() as db:
            await publish(db, file)

    async def get(self, owner: str, identifier: str) -> StoredFile:
        """The file with this id. Raises NotFound unless it belongs to `owner` and is alive."""
        query = sa.select(table).where(*_alive(owner), table.c.id == identifier)
        found = await self._database.select(StoredFile, query)
        if not found:
            raise not_found(identifier)
        return found[0]

    async def find(self, owner: str, page: Page, purpose: str | None = None) -> list[StoredFile]:
        """Up to `page.limit` files, and one more if there are more."""
        query = sa.select(table)
        if purpose is not None:
            query = query.where(table.c.purpose == purpose)
        query = paged(query, table, page, *_alive(owner))
        return await self._database.select(StoredFile, query)

    def content(self, identifier: str) -> AsyncGenerator[bytes, None]:
        """The content of a file, in chunks."""
        return self._contents.read(identifier)

    async def delete(self, owner: str, identifier: str) -> None:
        """Delete a file. Raises NotFound."""
        await self.get(owner, identifier)
        await self.discard(identifier)

    async def discard(self, identifier: str) -> None:
        """Delete a file or a draft, whoever owns it. The row goes last, see `draft`."""
        await self._contents.delete(identifier)
        async with self._database.write() as db:
            await db.execute(sa.delete(table).where(table.c.id == identifier))

    async def sweep(self) -> None:
        """Delete what has expired."""
        query = sa.select(table.c.id).where(table.c.expires_at <= int(time.time()))
        async with self._database.read() as db:
            expired = (await db.scalars(query)).all()
        for identifier in expired:
            await self.discard(identifier)

    async def _reserve(self, owner: str, identifier: str) -> None:
        now = int(time.time())
        row = {
            "id": identifier,
            "owner": owner,
            "purpose": _DRAFT,
            "filename": "",
            "bytes": 0,
            "created_at": now,
            "expires_at": now + DRAFT_SECONDS,
        }
        held = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(table.c.bytes), 0))
        async with self._database.write() as db:
            count, total = (await db.execute(held.where(table.c.owner == owner))).one()
            if count >= MAX_FILES or total >= MAX_TOTAL_BYTES:
                raise InvalidRequest(
                    f"You have {count} files with {total} bytes. The limits are {MAX_FILES} files "
                    f"and {MAX_TOTAL_BYTES} bytes. Delete files that you do not need.",
                    param="file",
                )
            await db.execute(sa.insert(table), row)


async def publish(db: AsyncConnection, file: StoredFile) -> None:
    """Make a finished draft a file, within a transaction."""
    await db.execute(sa.update(table).where(table.c.id == file.id).values(asdict(file)))


def not_found(identifier: str) -> NotFound:
    """The error for an unknown file."""
    return NotFound(f"No such File object: {identifier[:64]}", param="id")


def _alive(owner: str) -> tuple[sa.ColumnElement[bool], ...]:
    is_alive = sa.or_(table.c.expires_at.is_(None), table.c.expires_at > int(time.time()))
    return table.c.owner == owner, table.c.purpose != _DRAFT, is_alive
