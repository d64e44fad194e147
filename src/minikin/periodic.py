"""Work that a server repeats while it runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from minikin.errors import SetupError, StoreFailure

log = logging.getLogger(__name__)


class Periodic:
    """One piece of work, again and again. A Worker of the Service.

    An error does not end it, because the next try may succeed. The log has the error after the
    words of `trouble`. SetupError ends it: the operator has to change something first.
    """

    def __init__(self, work: Callable[[], Awaitable[object]], seconds: float, trouble: str) -> None:
        """With a pause of `seconds`."""
        self._work = work
        self._seconds = seconds
        self._trouble = trouble
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start it."""
        self._task = asyncio.create_task(self._repeat())

    def wake(self) -> None:
        """End its pause."""
        self._wake.set()

    async def stop(self) -> None:
        """End it."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _repeat(self) -> None:
        while True:
            try:
                await self._work()
            except StoreFailure:
                pass  # the log has it
            except SetupError as error:
                log.error("%s: %s", self._trouble, error.message)
                return
            except Exception:
                log.exception("%s", self._trouble)
            with suppress(TimeoutError):
                # Python 3.11's wait_for can lose a cancellation.
                async with asyncio.timeout(self._seconds):
                    await self._wake.wait()
            self._wake.clear()
