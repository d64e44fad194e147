"""HTTP for the routes: JSON bodies, JSON answers, errors, and clients that disconnect."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive

from minikin.errors import InvalidRequest, MinikinError, Overloaded, Quarantined

BODY_SECONDS = 60.0
"""Maximum time for a client to send its body."""
WRITE_SECONDS = 60.0
"""A client that reads no byte of an answer for this long loses the rest."""
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(float_hook=float).decode
"""`float` turns 1e999 into infinity, which the parameter's own rule then rejects by name."""

FAULT = "The server had an error while processing your request. Sorry about that!"
"""The message for a bug in Minikin. The details are in the log."""
MAX_DIGITS = 4300
"""The maximum for integers in Python, and so in msgspec."""
NO_NUMBER = f"NaN, Infinity and integers with more than {MAX_DIGITS} digits are not supported."
NOT_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using "
    "your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not "
    "valid JSON.)"
)


class TransportFault(InvalidRequest):
    """A request that fails before its content is read. `status` is the HTTP status."""

    def __init__(self, status: int, message: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.status = status


def json_response(content: Any, status: int = 200) -> Response:
    """`content` as JSON: msgspec Structs, dicts and lists."""
    return Response(_encode(content), status, media_type="application/json")


def error_response(error: MinikinError) -> Response:
    """The error object, with the error's own status."""
    response = json_response(error.body(), error.status)
    if isinstance(error, Overloaded):
        response.headers["retry-after"] = str(error.retry_after)
    if isinstance(error, Quarantined):
        response.headers["x-should-retry"] = "false"
    if error.status == 401:
        response.headers["www-authenticate"] = "Bearer"
    if error.status in (408, 413):
        response.headers["connection"] = "close"
    return response


async def read_json(request: Request, max_bytes: int) -> Any:
    """The request's body, decoded.

    Raises TransportFault if the headers do not say JSON, or if the body is larger than `max_bytes`
    or takes too long. Raises InvalidRequest if the body is not valid JSON.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise TransportFault(
            415,
            "Unsupported media type: send the body as 'Content-Type: application/json'.",
            code="unsupported_media_type",
        )
    if request.headers.get("content-encoding", "identity") != "identity":
        raise TransportFault(
            415, "Compressed bodies are not supported.", code="unsupported_media_type"
        )
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _read_body(request, max_bytes)
    except TimeoutError:
        raise TransportFault(408, "The body of the request did not arrive in time.") from None
    except ClientDisconnect:
        raise TransportFault(
            400, "The connection ended before the body of the request was complete."
        ) from None
    return decode_json(body)


async def _read_body(request: Request, max_bytes: int) -> bytes:
    too_large = TransportFault(
        413, f"The body of the request is larger than {max_bytes} bytes.", code="request_too_large"
    )
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared[:20]) > max_bytes:
        raise too_large
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > max_bytes:
            raise too_large
    return b"".join(parts)


def decode_json(body: bytes) -> Any:
    """The value of `body`, JSON in UTF-8. If a key occurs twice, the last one counts.

    Raises InvalidRequest.
    """
    try:
        return _decode(body)
    except RecursionError:
        raise InvalidRequest("The JSON body is nested too deeply.", code="json_too_deep") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        if name := _name_of_no_number(body):
            raise InvalidRequest(f"Invalid '{name}': {NO_NUMBER}", param=name) from None
        raise InvalidRequest(NOT_JSON) from None


def _name_of_no_number(body: bytes) -> str | None:
    """The property with an unsupported number, if this is the only error in the body.

    Python's own parser reads such bodies. Only the name is used from its result.
    """
    strange = object()

    def whole(digits: str) -> Any:
        return 0 if len(digits) <= MAX_DIGITS else strange

    def holds(value: Any) -> bool:
        inner = value.values() if isinstance(value, dict) else value
        return value is strange or (isinstance(value, dict | list) and any(map(holds, inner)))

    try:
        read = json.loads(body.decode(), parse_constant=lambda _: strange, parse_int=whole)
        names = (name[:64] for name in read if holds(read[name]))
        return next((name for name in names if name.isprintable()), None)
    except (ValueError, TypeError, RecursionError):
        return None


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
