"""Server-sent events: the frame of every streamed answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import closing
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
_LOOKS = 60
"""How often in WRITE_SECONDS the clock is read for a client that does not read."""
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
    try:
        async with asyncio.timeout(None) as limit:
            with closing(_Patience(limit)) as patience:
                while event is not None:
                    patience.begin()
                    await send({"type": "http.response.body", "body": event, "more_body": True})
                    patience.end(len(event))
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


class _Patience:
    """Ends `limit`, the block that sends to one client, if the client reads too slowly.

    One timer serves all events: asyncio.timeout for each of them takes 4 microseconds.
    """

    def __init__(self, limit: asyncio.Timeout) -> None:
        self._limit = limit
        self._left = WRITE_SECONDS
        self._since: float | None = None
        """When the current event was sent. None while there is none."""
        self._look_later()

    def begin(self) -> None:
        """The next event is sent."""
        self._since = time.perf_counter()

    def end(self, size: int) -> None:
        """The client, or a buffer for it, has its bytes."""
        assert self._since is not None
        waited, self._since = time.perf_counter() - self._since, None
        self._left = min(WRITE_SECONDS, self._left - waited + size / LEAST_BYTES)

    def close(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(WRITE_SECONDS / _LOOKS, self._look)

    def _look(self) -> None:
        since = self._since
        if since is not None and time.perf_counter() - since > self._left:
            self._limit.reschedule(asyncio.get_running_loop().time())
        else:
            self._look_later()
