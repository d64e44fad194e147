"""Server-sent events: the frame of every streamed answer."""

from __future__ import annotations

import asyncio
import logging
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
    try:
        while event is not None:
            async with asyncio.timeout(WRITE_SECONDS):
                await send({"type": "http.response.body", "body": event, "more_body": True})
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
