"""Makes one server the only one that runs the batches of a database.

The system ends the claim of a server that is killed.
"""

from __future__ import annotations

import asyncio

import sqlalchemy as sa
from filelock import FileLock, Timeout

from minikin.store.database import Database, failures
from minikin.store.locks import LockConnection

_LOCK = 0x6D696E696B696F
"""The advisory lock of PostgreSQL."""


class Claim:
    """A lock beside the SQLite file, or one of the PostgreSQL server."""

    def __init__(self, database: Database) -> None:
        lock = FileLock(f"{database.path}.lock", thread_local=False)
        self._lock = lock if database.is_file else None
        self._server = LockConnection(database)
        self._turn = asyncio.Lock()

    async def take(self) -> bool:
        """Whether this server has the claim, now or already. Raises StoreFailure."""
        with failures():
            if not self._lock:
                async with self._turn:
                    return await self._take_on_server()
            try:
                await asyncio.to_thread(self._lock.acquire, timeout=0)
            except Timeout:
                return False
            return True

    async def release(self) -> None:
        """Give the claim up."""
        if self._lock:
            self._lock.release(force=True)
        await self._server.close()

    async def _take_on_server(self) -> bool:
        # A connection that has the lock gets it again, which also shows that it lives.
        taken = await self._server.ask(sa.select(sa.func.pg_try_advisory_lock(_LOCK)))
        if not taken:
            await self._server.close()
        return bool(taken)
