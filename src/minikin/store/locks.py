"""A connection of its own to PostgreSQL, which holds advisory locks as long as it lives."""

from __future__ import annotations

import asyncio
from hashlib import blake2b

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from minikin.store.database import Database

_TRY = sa.text("SELECT pg_try_advisory_lock(:key)")
_UNLOCK = sa.text("SELECT pg_advisory_unlock(:key)")


class LockConnection:
    """Opened by the first question. The locks of a lost connection are lost too."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: AsyncConnection | None = None
        self._turn = asyncio.Lock()

    async def lock(self, key: int) -> bool:
        """Whether this connection has the lock, now or already.

        Each lock needs an `unlock`. An error closes the connection and is raised.
        """
        return await self._ask(_TRY, key)

    async def unlock(self, key: int) -> None:
        """Give up one lock. See `lock`."""
        await self._ask(_UNLOCK, key)

    async def _ask(self, question: sa.TextClause, key: int) -> bool:
        async with self._turn:
            try:
                if self._connection is None:
                    self._connection = await self._database.connect()
                    await self._connection.execution_options(isolation_level="AUTOCOMMIT")
                return bool(await self._connection.scalar(question, {"key": key}))
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        """Give up all locks."""
        connection, self._connection = self._connection, None
        if connection:
            await connection.invalidate()  # closing alone would return it to the pool
            await connection.close()


def key_of(name: str) -> int:
    """The lock of a name: 62 bits, which all systems accept as the place of a byte."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) >> 2
