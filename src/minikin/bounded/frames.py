"""Frames between processes: the length of a body in four bytes, then the body.

The engine's channel and the bounded workers use them, each with its own format of bodies.
"""

from __future__ import annotations

import asyncio
import struct
from typing import BinaryIO

MAX_FRAME = 256 * 1024 * 1024
"""Maximum bytes of a body, far above real ones. A larger length means a broken stream."""

_LENGTH = struct.Struct("<I")


class BadFrame(ValueError):
    """The received bytes are not a frame."""


def framed(body: bytes) -> bytes:
    """The bytes of a frame with this body."""
    return _LENGTH.pack(len(body)) + body


def read_frame(source: BinaryIO) -> bytes | None:
    """Read the next body, blocking. None if the other side closed. Raises BadFrame."""
    head = source.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    length = _length(head)
    body = source.read(length)
    return body if len(body) == length else None


async def receive_frame(stream: asyncio.StreamReader) -> bytes:
    """Read the next body. Raises BadFrame, or IncompleteReadError if the other side closed."""
    return await stream.readexactly(_length(await stream.readexactly(_LENGTH.size)))


def _length(head: bytes) -> int:
    (length,) = _LENGTH.unpack(head)
    if length > MAX_FRAME:
        raise BadFrame(f"a frame has {length} bytes, at most {MAX_FRAME} are allowed")
    return length
