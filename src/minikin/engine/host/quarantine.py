"""Requests that ran when the engine died. They run again in halves, and not for ever."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from minikin.engine.messages import GenerationRequest
from minikin.errors import Quarantined

SUSPECT = 3
"""From this suspicion on, a request runs only beside suspects of its group: after one crash, or two
deaths by SIGKILL. See `ending.py`."""
CONDEMNED = 6
"""From this suspicion on, it does not run, if the deaths have no other explanation: after two
crashes, or three deaths by SIGKILL."""
_PROOF = 2
"""A death with one suspect and nothing else proves it. With new requests beside it, two do."""
FORGET_SECONDS = 600.0
"""How long a request is suspicious after the last death."""
MAX_KNOWN = 1_024
"""Above this number of suspects, the oldest are forgotten."""


@dataclass(frozen=True)
class _Suspect:
    """What is known about a request that ran at a death."""

    suspicion: int = 0
    proof: int = 0
    group: int = 0
    """Suspects of the same group run together."""
    since: float = 0.0
    """The time of the last death."""

    @property
    def is_condemned(self) -> bool:
        return self.suspicion >= CONDEMNED and self.proof >= _PROOF


_INNOCENT = _Suspect()


class Quarantine:
    """Finds the request that kills the engine among those that only ran at the same time.

    Every request that ran when the engine died is suspicious. Half of the suspects run again
    together, then the other half. If the engine dies again, the half that ran becomes two halves.
    So 16 good requests are free of suspicion after two rounds, and a bad one is alone after four
    more deaths. A request that ends normally is free of suspicion. A request does not run again
    if the engine died while it was the only suspect.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, _Suspect] = OrderedDict()
        self._groups = itertools.count(1)
        self._trying = 0
        """The group whose suspects run."""
        self._on_trial: Counter[bytes] = Counter()
        """These suspects, and how many requests each is."""
        self._next = asyncio.Event()
        """Set when no suspect runs any more."""

    @asynccontextmanager
    async def admit(
        self, request: GenerationRequest, ready: Callable[[], Awaitable[None]]
    ) -> AsyncIterator[None]:
        """Runs the block when it is the request's turn, and the engine is ready after the wait.

        Raises Quarantined instead if it is condemned.
        """
        if not self._known or (mark := _mark(request)) not in self._known:
            yield
            return
        self._check(mark)
        async with self._turn(mark):
            await ready()
            self._check(mark)  # the engine may have died meanwhile
            yield
            self._known.pop(mark, None)

    def blame(self, requests: Iterable[GenerationRequest], suspicion: int) -> None:
        """Record that the engine died while it ran these requests, and how suspicious that is."""
        if not suspicion:
            return
        marks = list(dict.fromkeys(map(_mark, requests)))
        tried = [mark for mark in marks if self._of(mark).suspicion >= SUSPECT]
        others = [mark for mark in marks if mark not in tried]
        proof = 0 if len(tried) != 1 else 1 if others else _PROOF
        for half in (*_halves(tried), *_halves(others)):
            group = next(self._groups)
            for mark in half:
                self._suspect(mark, suspicion, proof if mark in tried else 0, group)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def _suspect(self, mark: bytes, suspicion: int, proof: int, group: int) -> None:
        """Add what a death says about a request."""
        old = self._of(mark)
        self._known[mark] = _Suspect(
            old.suspicion + suspicion, old.proof + proof, group, time.monotonic()
        )
        self._known.move_to_end(mark)

    def _check(self, mark: bytes) -> None:
        if self._of(mark).is_condemned:
            raise Quarantined

    @asynccontextmanager
    async def _turn(self, mark: bytes) -> AsyncIterator[None]:
        """The turn of a suspect: while no suspect of another group runs."""
        while self._on_trial and self._is_of_another_group(mark):
            await self._next.wait()
        if self._of(mark).suspicion < SUSPECT:
            yield
            return
        self._trying = self._of(mark).group
        self._on_trial[mark] += 1
        try:
            yield
        finally:
            self._on_trial -= Counter([mark])
            if not self._on_trial:
                self._next.set()
                self._next = asyncio.Event()

    def _is_of_another_group(self, mark: bytes) -> bool:
        suspect = self._of(mark)
        return suspect.suspicion >= SUSPECT and suspect.group != self._trying

    def _of(self, mark: bytes) -> _Suspect:
        suspect = self._known.get(mark, _INNOCENT)
        return suspect if time.monotonic() - suspect.since < FORGET_SECONDS else _INNOCENT


def _halves(marks: Sequence[bytes]) -> tuple[Sequence[bytes], Sequence[bytes]]:
    middle = (len(marks) + 1) // 2
    return marks[:middle], marks[middle:]


def _mark(request: GenerationRequest) -> bytes:
    """A key that is the same for the same request, however much of its answer there is."""
    unnamed = msgspec.structs.replace(request, id="", resumed=())
    return blake2b(msgspec.msgpack.encode(unnamed), digest_size=16).digest()
