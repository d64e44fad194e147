"""Work that a server repeats while it runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from minikin.errors import SetupError, StoreFailure

log = logging.getLogger(__name__)


async def repeat(
    work: Callable[[], Awaitable[object]],
    seconds: float,
    trouble: str,
    *,
    wake: asyncio.Event | None = None,
) -> None:
    """Do `work`, again and again, with a pause of `seconds`, which the event ends early.

    An error does not end it, because the next try may succeed. The log has the error after the
    words of `trouble`. SetupError ends it: the operator has to change something first.
    """
    while True:
        try:
            await work()
        except StoreFailure:
            pass  # the log has it
        except SetupError as error:
            log.error("%s: %s", trouble, error.message)
            return
        except Exception:
            log.exception("%s", trouble)
        if wake is None:
            await asyncio.sleep(seconds)
            continue
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # Python 3.11's wait_for can lose a cancellation
                await wake.wait()
        wake.clear()
