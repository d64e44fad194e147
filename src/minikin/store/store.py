"""The store of a server: one database, and a class for each kind of thing in it."""

from __future__ import annotations

import time

import sqlalchemy as sa

from minikin.store.batches import Batches
from minikin.store.completions import Completions
from minikin.store.contents import Contents
from minikin.store.conversations import Conversations
from minikin.store.database import Database
from minikin.store.events import ResponseEvents, sweep
from minikin.store.files import Files
from minikin.store.items import Items
from minikin.store.responses import Responses
from minikin.store.runner import Runner
from minikin.store.tables import items, responses


class Store:
    """Everything that a server keeps.

    Everything belongs to the owner that stored it (`api/access/keys.py`). Other owners do not find
    it, even if they know its id.
    """

    def __init__(self, location: str | None = None, files: str | None = None) -> None:
        """`location` is that of the database, `files` a folder or a location of fsspec."""
        self.database = Database(location)
        self.files = Files(self.database, Contents(files or self.database.files))
        self.runner = Runner(self.database)
        self.completions = Completions(self.database)
        self.responses = Responses(self.database, self.runner)
        self.events = ResponseEvents(self.database, self.runner)
        self.items = Items(self.database)
        self.conversations = Conversations(self.database)
        self.batches = Batches(self.database, self.runner)

    async def sweep(self) -> None:
        """Delete what has expired."""
        if not self.database.exists:
            return
        now = int(time.time())
        async with self.database.write() as db:
            for table in (responses, items):
                await db.execute(sa.delete(table).where(table.c.expires_at <= now))
            await sweep(db)
        await self.files.sweep()

    async def close(self) -> None:
        """Close the database."""
        await self.runner.close()
        await self.conversations.reservations.close()
        await self.database.close()
