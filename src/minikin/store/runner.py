"""This server, as one of those that run the work of a database: responses and batches.

Each work has the name of its runner, and each statement that stores a result compares it. So a
server stores nothing of work that another one has taken over, whatever it still computes. A runner
holds the lock of its name as long as it lives. The system or the database ends the lock of a server
that is killed, and other servers take its work over.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import sqlalchemy as sa
from filelock import FileLock, Timeout

from minikin.store.database import Database, failures
from minikin.store.locks import LockConnection, key_of


class Runner:
    """Locks of names: files beside that of SQLite, or locks of the PostgreSQL server."""

    def __init__(self, database: Database) -> None:
        self.name = secrets.token_hex(8)
        """No two runners have the same, also not a server before and after a restart."""
        self._database = database
        self._file: FileLock | None = None
        self._turn = asyncio.Lock()
        self._server = LockConnection(database)

    async def appear(self) -> None:
        """Hold the lock of its name, again if it was lost. Raises StoreFailure.

        Needed before this server has work in the database.
        """
        if not self._database.is_file:
            with failures():  # PostgreSQL counts how often a connection has a lock
                await self._server.lock(_key(self.name))
            return
        async with self._turn:
            if self._file is None:
                await self._appear_in_file()

    @asynccontextmanager
    async def ended(self, name: str | None) -> AsyncIterator[bool]:
        """Whether the runner with this name has ended. In the block, no other server sees that.

        None: the runner of a version without names. Raises StoreFailure.
        """
        if name is None:
            yield True
        elif self._database.is_file:
            async with self._file_left(name) as left:
                yield left
        else:
            async with self._lock_left(name) as left:
                yield left

    async def others(self, table: sa.Table, unfinished: sa.ColumnElement[bool]) -> list[str | None]:
        """The other runners of unfinished rows. Raises StoreFailure."""
        other = table.c.runner.is_distinct_from(self.name)
        names = sa.select(table.c.runner).where(unfinished, other).distinct()
        async with self._database.read() as db:
            return list((await db.scalars(names)).all())

    async def take(
        self, table: sa.Table, unfinished: sa.ColumnElement[bool], name: str | None
    ) -> set[str]:
        """From now on, this server runs what the runner `name` left. Returns the ids of the rows.

        Only in a block of `ended`. Raises StoreFailure.
        """
        await self.appear()
        left = (unfinished, table.c.runner.is_not_distinct_from(name))
        change = sa.update(table).where(*left).values(runner=self.name)
        async with self._database.write() as db:
            return set((await db.scalars(change.returning(table.c.id))).all())

    async def close(self) -> None:
        """Let other servers take over what is left."""
        if self._file:
            _delete(self._file)
            self._file = None
        await self._server.close()

    async def _appear_in_file(self) -> None:
        lock = self._lock(self.name)
        async with self._database.read():  # the folder exists from then on
            await asyncio.to_thread(lock.acquire, timeout=0)
        self._file = lock

    @asynccontextmanager
    async def _file_left(self, name: str) -> AsyncIterator[bool]:
        lock = self._lock(name)
        with failures():
            try:
                await asyncio.to_thread(lock.acquire, timeout=0)
            except Timeout:
                lock = None
        if lock is None:
            yield False
            return
        try:
            yield True
        finally:
            _delete(lock)

    @asynccontextmanager
    async def _lock_left(self, name: str) -> AsyncIterator[bool]:
        with failures():
            left = await self._server.lock(_key(name))
        if not left:
            yield False
            return
        try:
            yield True
        finally:
            with failures():
                await self._server.unlock(_key(name))

    def _lock(self, name: str) -> FileLock:
        return FileLock(f"{self._database.path}.{name}.lock", thread_local=False)


def _key(name: str) -> int:
    return key_of(f"runner {name}")


def _delete(lock: FileLock) -> None:
    """Give a file's lock up. The file is not needed again."""
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release(force=True)
