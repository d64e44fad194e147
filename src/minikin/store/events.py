"""The events of background responses that stream, so that each server of a database can send them.

They are kept for some minutes after the end, and never longer than the next sweep after that.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from minikin.store.database import Database
from minikin.store.kept import Events
from minikin.store.runner import Runner
from minikin.store.tables import response_events as table
from minikin.store.tables import responses

KEPT_SECONDS = 3600
"""Maximum age of events whose server has ended without deleting them."""


class ResponseEvents:
    """The stored events of all responses. Ids of responses are secrets of their owners."""

    def __init__(self, database: Database, runner: Runner) -> None:
        self._database = database
        self._runner = runner

    async def add(self, new: Sequence[Events]) -> None:
        """Store events of responses that this server runs. Raises StoreFailure."""
        more = {"runner": self._runner.name, "stored_at": int(time.time())}
        rows = [msgspec.structs.asdict(events) | more for events in new]
        async with self._database.write() as db:
            await db.execute(sa.insert(table), rows)

    async def since(self, response: str, runner: str | None, first: int) -> list[Events]:
        """What this runner stored from sequence number `first` on, and what has its end.

        The first of them can begin before that. Raises StoreFailure.
        """
        of_it = (table.c.response == response, table.c.runner == runner)
        query = sa.select(table).where(*of_it, (table.c.last >= first) | table.c.ends)
        return await self._database.select(Events, query.order_by(table.c.last))

    async def exist(self, response: str, runner: str | None) -> bool:
        """Whether this runner stored events. Raises StoreFailure."""
        of_it = (table.c.response == response, table.c.runner == runner)
        async with self._database.read() as db:
            return bool(await db.scalar(sa.select(sa.func.count()).where(*of_it)))

    async def delete(self, response: str) -> None:
        """Delete the events of a response. Raises StoreFailure."""
        async with self._database.write() as db:
            await db.execute(sa.delete(table).where(table.c.response == response))


async def sweep(db: AsyncConnection) -> None:
    """Delete old events of responses that do not run."""
    runs = sa.exists().where(responses.c.id == table.c.response, responses.c.request.is_not(None))
    old = table.c.stored_at <= int(time.time()) - KEPT_SECONDS
    await db.execute(sa.delete(table).where(old, ~runs))
