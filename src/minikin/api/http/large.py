"""Work on much data, outside of the event loop: no client waits for the data of another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakKeyDictionary

from minikin.machine import side_threads

T = TypeVar("T")

LARGE = 65_536
"""Bytes, or characters. Less is done in about a millisecond."""
MEDIUM = 8_192
"""Less is done in about a tenth of that."""
_threads = ThreadPoolExecutor(side_threads(), thread_name_prefix="large")
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


async def off_loop(size: int, work: Callable[[], T]) -> T:
    """The result of `work` on data of `size` bytes. Large work runs in a thread.

    Python runs one thread at a time, so this helps only if no single call in `work` takes long.
    Medium work takes turns: hundreds of such requests at once would hold up the loop together.
    """
    if size < MEDIUM:
        return work()
    loop = asyncio.get_running_loop()
    if size < LARGE:
        async with _turns.setdefault(loop, asyncio.Lock()):
            try:
                return work()
            finally:
                await asyncio.sleep(0)  # others in this pass of the loop wait for a later one
    return await loop.run_in_executor(_threads, work)
