"""Requests that ran when the engine died. They run one at a time, and at most twice."""

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
"""Above this number of suspects, the oldest are forgotten."""


class Quarantine:
    """Finds the request that kills the engine among those that only ran at the same time.

    Every request that ran when the engine died is a suspect. Suspects run one at a time, so only
    the cause runs at a second death. A request that ends normally is no longer a suspect.
    """

    def __init__(self) -> None:
        self._deaths: OrderedDict[bytes, int] = OrderedDict()
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def admit(self, request: GenerationRequest) -> AsyncIterator[None]:
        """Runs the block when it is the request's turn. Raises Quarantined after two deaths."""
        if not self._deaths or (mark := _mark(request)) not in self._deaths:
            yield
            return
        async with self._turn:
            if self._deaths.get(mark, 0) >= MAX_DEATHS:
                raise Quarantined
            yield
            self._deaths.pop(mark, None)

    def blame(self, requests: Iterable[GenerationRequest]) -> None:
        """Record that the engine died while it ran these requests."""
        for mark in map(_mark, requests):
            self._deaths[mark] = self._deaths.get(mark, 0) + 1
        while len(self._deaths) > MAX_KNOWN:
            self._deaths.popitem(last=False)


def _mark(request: GenerationRequest) -> bytes:
    """A key that is the same for the same request."""
    unnamed = msgspec.structs.replace(request, id="")
    return blake2b(msgspec.msgpack.encode(unnamed), digest_size=16).digest()
