"""Reads several streams at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import TypeVar

Item = TypeVar("Item")


async def merged(
    streams: Sequence[AsyncGenerator[Item, None]],
) -> AsyncGenerator[tuple[int, Item], None]:
    """The items of all streams as they come, each with the place of its stream.

    Raises the first error of a stream. The end of this generator ends the reading, and the caller
    closes the streams.
    """
    items: asyncio.Queue[tuple[int, Item] | Exception | None] = asyncio.Queue()

    async def read(at: int, stream: AsyncGenerator[Item, None]) -> None:
        try:
            async for item in stream:
                items.put_nowait((at, item))
            items.put_nowait(None)
        except Exception as error:
            items.put_nowait(error)

    tasks = [asyncio.create_task(read(at, stream)) for at, stream in enumerate(streams)]
    try:
        left = len(tasks)
        while left:
            match await items.get():
                case None:
                    left -= 1
                case Exception() as error:
                    raise error
                case item:
                    yield item
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
