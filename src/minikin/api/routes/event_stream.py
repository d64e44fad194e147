"""Server-sent events: the frame of every streamed answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from types import MappingProxyType

from starlette.types import Send

from minikin.api.http.http import FAULT, WRITE_SECONDS
from minikin.errors import EngineFailure, MinikinError

log = logging.getLogger(__name__)

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # otherwise nginx buffers events
]
LEAST_BYTES = 1_024
"""A second. A client that reads less for WRITE_SECONDS loses the rest of its answer."""
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


async def send_events(
    events: AsyncGenerator[bytes, None],
    failure: Callable[[MinikinError], bytes],
    send: Send,
    headers: Mapping[str, str] = NO_HEADERS,
) -> None:
    """Send `events` as they arrive. `failure` makes the last one after an error.

    An error before the first event is raised, so that it becomes an HTTP error.
    """
    event = await anext(events, None)
    more = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, *more]})
    patience = WRITE_SECONDS
    try:
        while event is not None:
            begun = time.perf_counter()
            async with asyncio.timeout(patience):
                await send({"type": "http.response.body", "body": event, "more_body": True})
            waited = time.perf_counter() - begun
            patience = min(WRITE_SECONDS, patience - waited + len(event) / LEAST_BYTES)
            event = await anext(events, None)
        ending = b""
    except TimeoutError:
        return
    except MinikinError as error:
        ending = failure(error)
    except Exception:
        log.exception("An answer failed after its first byte")
        ending = failure(EngineFailure(FAULT))
    await send({"type": "http.response.body", "body": ending})
