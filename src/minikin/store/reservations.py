"""Names that one response at a time uses, among all servers of a database.

The system or the database ends the reservations of a server that is killed.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

from minikin.errors import StoreFailure
from minikin.store.database import Database, failures
from minikin.store.locks import LockConnection, key_of


class Reservations:
    """One lock for each name: a byte of a file beside that of SQLite, or one of PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: set[int] = set()
        self._file: int | None = None
        self._server = LockConnection(database)

    async def take(self, name: str) -> bool:
        """Whether the name was free. This caller has it now.

        Raises StoreFailure.
        """
        key = key_of(name)
        if key in self._held:
            return False
        self._held.add(key)
        try:
            with failures():
                taken = self._lock(key) if self._database.is_file else await self._server.lock(key)
        except BaseException:
            self._held.discard(key)
            raise
        if not taken:
            self._held.discard(key)
        return taken

    async def release(self, name: str) -> None:
        """Let others have the name."""
        key = key_of(name)
        try:
            with suppress(StoreFailure), failures():  # without its connection, a lock is gone too
                if not self._database.is_file:
                    await self._server.unlock(key)
                elif self._file is not None:
                    fcntl.lockf(self._file, fcntl.LOCK_UN, 1, key)
        finally:
            self._held.discard(key)

    async def close(self) -> None:
        """Let others have all names."""
        self._held.clear()
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
        await self._server.close()

    def _lock(self, key: int) -> bool:
        """Lock byte number `key` of the file, which stays empty. Servers are processes."""
        if self._file is None:
            self._file = os.open(f"{self._database.path}.used", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, key)
        except (BlockingIOError, PermissionError):
            return False
        return True
