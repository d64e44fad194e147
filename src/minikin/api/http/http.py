"""HTTP for the routes: JSON bodies, JSON answers, errors, and clients that disconnect."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive

from minikin.errors import InvalidRequest, MinikinError, Overloaded, Quarantined, RequestTooLarge

WRITE_SECONDS = 60.0
"""A client that reads no byte of an answer for this long loses the rest."""
encode = msgspec.json.Encoder().encode

FAULT = "The server had an error while processing your request. Sorry about that!"
"""The message for a bug in Minikin. The details are in the log."""


class TransportFault(InvalidRequest):
    """A request that fails before its content is read. `status` is the HTTP status."""

    def __init__(self, status: int, message: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.status = status


@contextmanager
def arrival() -> Iterator[None]:
    """A block that reads a body within a time limit. Raises TransportFault if it does not come."""
    try:
        yield
    except TimeoutError:
        raise TransportFault(408, "The body of the request did not arrive in time.") from None
    except ClientDisconnect:
        raise TransportFault(
            400, "The connection ended before the body of the request was complete."
        ) from None


def json_response(content: Any, status: int = 200) -> Response:
    """`content` as JSON: msgspec Structs, dicts and lists."""
    return Response(encode(content), status, media_type="application/json")


def error_response(error: MinikinError) -> Response:
    """The error object, with the error's own status."""
    response = json_response(error.body(), error.status)
    if isinstance(error, Overloaded):
        response.headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
        response.headers["retry-after-ms"] = str(max(1, math.ceil(error.retry_after * 1000)))
    if isinstance(error, Quarantined | RequestTooLarge):
        response.headers["x-should-retry"] = "false"
    if error.status == 401:
        response.headers["www-authenticate"] = "Bearer"
    if error.status in (408, 413):
        response.headers["connection"] = "close"
    return response


@asynccontextmanager
async def while_connected(receive: Receive) -> AsyncIterator[None]:
    """Runs the block until its end, or until the client disconnects."""
    task = asyncio.current_task()
    assert task is not None
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
        if gone:
            await asyncio.sleep(0)  # receives a cancellation from the last step of the block
    except asyncio.CancelledError:
        if not gone:
            raise
        task.uncancel()
    finally:
        watcher.cancel()
