"""Reads JSON bodies: each limited in bytes, values and time, all together in bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec
import numpy as np
from starlette.requests import Request

from minikin.api.http.http import TransportFault, arrival
from minikin.api.http.large import LARGE, off_loop
from minikin.api.serving.service import Service
from minikin.errors import InvalidRequest, Overloaded

T = TypeVar("T")

BODY_SECONDS = 60.0
"""Maximum time for a client to send its body."""
HELD_BYTES = 256 * 1024 * 1024
"""Maximum of all bodies together that arrive or are read."""
MAX_VALUES = 200_000
"""Maximum number of values in a body, nested ones included. Four megabytes can hold two million."""
_decode = msgspec.json.Decoder(float_hook=float).decode
"""`float` turns 1e999 into infinity, which the parameter's own rule then rejects by name."""
MAX_DIGITS = 4300
"""The maximum for integers in Python, and so in msgspec."""
NO_NUMBER = f"NaN, Infinity and integers with more than {MAX_DIGITS} digits are not supported."
NOT_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using "
    "your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not "
    "valid JSON.)"
)


async def read_json(request: Request, service: Service, check: Callable[[Any], T]) -> T:
    """The request's body, decoded and checked. The check of a large body runs in a thread.

    The request's state gets its size as `body_bytes`.

    Raises TransportFault if the headers do not say JSON, or if the body is too large or takes too
    long, Overloaded if there is too much data of other requests, and InvalidRequest if the body is
    not valid JSON or has too many values.
    """
    _check_headers(request)
    parts: list[bytes] = []
    try:
        with arrival():
            async with (
                asyncio.timeout(BODY_SECONDS),
                aclosing(_parts(request, service)) as sent,
            ):
                async for part in sent:
                    parts.append(part)
                    service.held_bytes += len(part)
        body = b"".join(parts)
        request.state.body_bytes = len(body)
        return await off_loop(len(body), lambda: check(_limited(body)))
    finally:
        service.held_bytes -= sum(map(len, parts))


async def _parts(request: Request, service: Service) -> AsyncGenerator[bytes, None]:
    """The parts of the body, within the limits of its size."""
    most, size = service.settings.max_body_bytes, 0
    too_large = TransportFault(
        413, f"The body of the request is larger than {most} bytes.", code="request_too_large"
    )
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared[:20]) > most:
        raise too_large
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise too_large
        if service.held_bytes + len(part) > HELD_BYTES:
            raise Overloaded("The server receives too much data. Try again in a moment.")
        yield part


def _check_headers(request: Request) -> None:
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


def _limited(body: bytes) -> Any:
    """The value of `body`. Raises InvalidRequest if it has too many values."""
    if len(body) > LARGE and _values(body) > MAX_VALUES:
        raise InvalidRequest(
            f"The JSON body has more than {MAX_VALUES} values.", code="json_too_many_values"
        )
    return decode_json(body)


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


def _values(body: bytes) -> int:
    """About the number of values in `body`: its brackets and commas outside strings.

    NumPy counts four megabytes in some milliseconds, without holding up other threads.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) <= MAX_VALUES:
        return 0
    text = np.frombuffer(body.replace(b"\\\\", b"__").replace(b'\\"', b"__"), np.uint8)
    in_string = np.logical_xor.accumulate(text == ord('"'))
    marks = np.isin(text, np.frombuffer(b",[{", np.uint8))
    return int(np.count_nonzero(marks & ~in_string))
