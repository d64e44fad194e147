"""A connection of its own to PostgreSQL, which holds advisory locks as long as it lives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from minikin.store.database import Database


class LockConnection:
    """Opened by the first question. The locks of a lost connection are lost too."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: AsyncConnection | None = None

    async def ask(self, question: sa.Executable, values: Mapping[str, Any] | None = None) -> Any:
        """The single value of the answer. An error closes the connection and is raised."""
        try:
            if self._connection is None:
                self._connection = await self._database.connect()
                await self._connection.execution_options(isolation_level="AUTOCOMMIT")
            return await self._connection.scalar(question, values)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Give up all locks."""
        connection, self._connection = self._connection, None
        if connection:
            await connection.invalidate()  # closing alone would return it to the pool
            await connection.close()
