"""Frames between processes: the length of a body in four bytes, then the body.

The engine's channel and the bounded workers share them. What a body holds is their own matter.
"""

from __future__ import annotations

import asyncio
import struct
from typing import BinaryIO

MAX_FRAME = 256 * 1024 * 1024
"""Bytes; far above any body that is sent. A larger length means that the stream is out of step."""

_LENGTH = struct.Struct("<I")


class BadFrame(ValueError):
    """What arrived is not a frame."""


def framed(body: bytes) -> bytes:
    """A body as it goes over the wire."""
    return _LENGTH.pack(len(body)) + body


def read_frame(source: BinaryIO) -> bytes | None:
    """The next body, blocking; None if the other side has left. Raises BadFrame."""
    head = source.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    length = _length(head)
    body = source.read(length)
    return body if len(body) == length else None


async def receive_frame(stream: asyncio.StreamReader) -> bytes:
    """The next body. Raises BadFrame, or IncompleteReadError if the other side has left."""
    return await stream.readexactly(_length(await stream.readexactly(_LENGTH.size)))


def _length(head: bytes) -> int:
    (length,) = _LENGTH.unpack(head)
    if length > MAX_FRAME:
        raise BadFrame(f"a frame of {length} bytes, at most {MAX_FRAME} are allowed")
    return length
