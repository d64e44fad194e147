"""Requests that were in the engine when it died: run one at a time, and not a third time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from hashlib import blake2b

import msgspec

from minikin.engine.messages import GenerationRequest
from minikin.errors import Quarantined

MAX_DEATHS = 2
MAX_KNOWN = 1_024
"""Past this many suspects the oldest are forgotten."""


class Quarantine:
    """Tells the request that kills the engine from those that were there by chance.

    Whatever ran when the engine died is suspect. Suspects run one at a time, so that of those that
    come back only the culprit is there at a second death; what ends well is suspect no more.
    """

    def __init__(self) -> None:
        self._deaths: OrderedDict[bytes, int] = OrderedDict()
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def admit(self, request: GenerationRequest) -> AsyncIterator[None]:
        """Runs the block when it is the request's turn. Raises Quarantined if it has had two."""
        if not self._deaths or (mark := _mark(request)) not in self._deaths:
            yield
            return
        async with self._turn:
            if self._deaths.get(mark, 0) >= MAX_DEATHS:
                raise Quarantined
            yield
            self._deaths.pop(mark, None)

    def blame(self, requests: Iterable[GenerationRequest]) -> None:
        """The engine died while it worked on these."""
        for mark in map(_mark, requests):
            self._deaths[mark] = self._deaths.get(mark, 0) + 1
        while len(self._deaths) > MAX_KNOWN:
            self._deaths.popitem(last=False)


def _mark(request: GenerationRequest) -> bytes:
    """The same for the same request sent again."""
    unnamed = msgspec.structs.replace(request, id="")
    return blake2b(msgspec.msgpack.encode(unnamed), digest_size=16).digest()
