"""The lines of a batch's input file, read without holding the file in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

import msgspec


async def split_lines(
    chunks: AsyncIterator[bytes], max_bytes: int
) -> AsyncGenerator[tuple[int, bytes | None], None]:
    """The lines that are not blank, with their numbers from 1. None for one over `max_bytes`."""
    number, rest, too_long = 0, b"", False
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            number += 1
            if too_long or len(line) > max_bytes:
                yield number, None
            elif line.strip():
                yield number, line
            too_long = False
        if len(rest) > max_bytes:
            rest, too_long = b"", True
    if too_long:
        yield number + 1, None
    elif rest.strip():
        yield number + 1, rest


class InputLine(msgspec.Struct, frozen=True):
    """What the runner needs of a checked line."""

    custom_id: str
    body: msgspec.Raw
    """As it is in the file, so that its route sees what the client wrote."""

    @classmethod
    def read(cls, line: bytes) -> InputLine:
        """The parts of a line that passed its checks."""
        return msgspec.json.decode(line, type=cls)
