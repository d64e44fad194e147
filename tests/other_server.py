"""Another server of a database, which takes over the work of all others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import sqlalchemy as sa

from minikin.store.store import Store
from minikin.store.tables import batches, responses


@asynccontextmanager
async def all_taken_over(location: str) -> AsyncIterator[None]:
    """It lives for the block, but does not run the work."""
    store = Store(location)
    await store.runner.appear()
    try:
        async with store.database.write() as db:
            for table in (responses, batches):
                await db.execute(sa.update(table).values(runner=store.runner.name))
        yield
    finally:
        await store.close()
