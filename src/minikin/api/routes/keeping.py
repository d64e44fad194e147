"""Stores finished answers. An answer that cannot be stored is sent all the same, and says so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from minikin.errors import SetupError, StoreFailure

log = logging.getLogger(__name__)

KEEP_SECONDS = 5.0
"""How long a finished answer waits for the database, for example if another program locks it."""
_NOT_STORED = "The answer is complete, but the server could not store it"
WARNING = f'299 minikin "{_NOT_STORED}"'
"""The value of the `warning` header of an answer that is not stored (RFC 7234, 5.5)."""
COMMENT = f": warning: {_NOT_STORED}\n\n".encode()
"""The same in a stream: a comment, which clients skip."""
_ending: set[asyncio.Task[object]] = set()
"""What gives up its turn at the database. The answer does not wait for that."""


async def is_kept(storing: Coroutine[Any, Any, object]) -> bool:
    """Whether a finished answer is stored within KEEP_SECONDS. If not, the log has the reason."""
    task = asyncio.create_task(storing)
    try:
        await asyncio.wait({task}, timeout=KEEP_SECONDS)
        if not task.done():
            log.error("A finished answer is not stored: the database takes too long")
            return False
        await task
    except (StoreFailure, SetupError) as error:
        log.error("A finished answer is not stored: %s", getattr(error, "reason", error.message))
        return False
    finally:
        _give_up(task)
    return True


def _give_up(task: asyncio.Task[object]) -> None:
    """End a task without waiting for the statement that it may run in a thread."""
    if not task.done():
        task.cancel()
        _ending.add(task)
        task.add_done_callback(_forget)


def _forget(task: asyncio.Task[object]) -> None:
    _ending.discard(task)
    if not task.cancelled():
        task.exception()  # the log has it already
