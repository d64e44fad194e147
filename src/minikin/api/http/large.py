"""Work on much data, outside of the event loop: no client waits for the data of another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

LARGE = 65_536
"""Bytes, or characters. Less is done in about a millisecond."""
_threads = ThreadPoolExecutor(2, thread_name_prefix="large")


async def off_loop(size: int, work: Callable[[], T]) -> T:
    """The result of `work` on data of `size` bytes. Large work runs in one of two threads.

    Python runs one thread at a time, so this helps only if no single call in `work` takes long.
    """
    if size < LARGE:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_threads, work)
