"""Requests that ran when the engine died. They run one at a time, and not for ever."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, nullcontext
from hashlib import blake2b

import msgspec

from minikin.engine.messages import GenerationRequest
from minikin.errors import Quarantined

SUSPECT = 3
"""From this suspicion on, a request runs only while no other suspect does: after one crash, or two
deaths by SIGKILL. See `ending.py`."""
CONDEMNED = 6
"""From this suspicion on, it does not run: after two crashes, or three deaths by SIGKILL."""
FORGET_SECONDS = 600.0
"""How long a request is suspicious after the last death."""
MAX_KNOWN = 1_024
"""Above this number of suspects, the oldest are forgotten."""


class Quarantine:
    """Finds the request that kills the engine among those that only ran at the same time.

    Every request that ran when the engine died is suspicious. Suspects run one at a time, so only
    the cause runs at a second death. A request that ends normally is free of
    suspicion.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, tuple[int, float]] = OrderedDict()
        """Suspicion, and the time of the last death."""
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def admit(self, request: GenerationRequest) -> AsyncIterator[None]:
        """Runs the block when it is the request's turn. Raises Quarantined instead if condemned."""
        if not self._known or (mark := _mark(request)) not in self._known:
            yield
            return
        async with self._turn if self._suspicion(mark) >= SUSPECT else nullcontext():
            if self._suspicion(mark) >= CONDEMNED:
                raise Quarantined
            yield
            self._known.pop(mark, None)

    def blame(self, requests: Iterable[GenerationRequest], suspicion: int) -> None:
        """Record that the engine died while it ran these requests, and how suspicious that is."""
        if not suspicion:
            return
        for mark in map(_mark, requests):
            self._known[mark] = self._suspicion(mark) + suspicion, time.monotonic()
            self._known.move_to_end(mark)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def _suspicion(self, mark: bytes) -> int:
        suspicion, since = self._known.get(mark, (0, 0.0))
        return suspicion if time.monotonic() - since < FORGET_SECONDS else 0


def _mark(request: GenerationRequest) -> bytes:
    """A key that is the same for the same request."""
    unnamed = msgspec.structs.replace(request, id="")
    return blake2b(msgspec.msgpack.encode(unnamed), digest_size=16).digest()
