"""Returns the memory of large requests to the system while the server runs."""

from __future__ import annotations

import asyncio

from minikin.memory import FreeMemory
from minikin.periodic import repeat

SECONDS = 1.0
"""Time between two looks at the memory, which take some microseconds."""


class Tidying:
    """Returns free memory each second if the process has grown, in a thread."""

    def __init__(self) -> None:
        self._memory = FreeMemory()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to look."""
        self._task = asyncio.create_task(repeat(self._tidy, SECONDS, "Memory stays as it is"))

    async def stop(self) -> None:
        """Stop to look."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _tidy(self) -> None:
        await asyncio.to_thread(self._memory.give_back)
