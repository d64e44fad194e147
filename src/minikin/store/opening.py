"""A store that is not there before its first use."""

from __future__ import annotations

import asyncio
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minikin.store.store import Store


class Opening:
    """The Store at these locations, made at its first use.

    To import the database's library takes a third of the time in which a server with a small model
    is ready.
    """

    def __init__(self, location: str | None, files: str | None) -> None:
        self._locations = location, files

    async def prepare(self) -> None:
        """Import the library in a thread. Without this, the first use holds the event loop."""
        await asyncio.to_thread(import_module, "minikin.store.store")

    @cached_property
    def store(self) -> Store:
        """The store."""
        from minikin.store.store import Store

        return Store(*self._locations)

    async def close(self) -> None:
        """Close the store, if it was used."""
        if "store" in vars(self):
            await self.store.close()
