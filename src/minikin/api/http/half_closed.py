"""A client that sends no more: it has left, or has only shut its side and waits for its answer.

The two look alike until something is sent, which the machine of a client that left answers with a
reset. What can be sent before an answer is known is the beginning that all answers share. It goes
out byte by byte at growing intervals, for clients behind proxies, and for those that leave later.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable

from minikin.api.http.exchange import Exchange

LOOK_SECONDS = 0.02
"""Between two looks for a reset."""
FIRST_GAP = 0.1
"""Seconds between the first two bytes; each gap is twice the one before."""


class HalfClosed:
    """Watches a half-closed connection for as long as `exchange` gives what it is answering."""

    def __init__(self, transport: asyncio.Transport, exchange: Callable[[], Exchange]) -> None:
        self._transport = transport
        self._exchange = exchange
        self._loop = asyncio.get_running_loop()
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), 0)  # hang-ups and errors
        self._due = self._loop.time()
        self._gap = FIRST_GAP
        self._look()

    def stop(self) -> None:
        """The connection is gone."""
        self._timer.cancel()

    def _look(self) -> None:
        if self._poll.poll(0):
            self._transport.abort()
            return
        if self._loop.time() >= self._due:
            self._exchange().begin_early()
            self._due = self._loop.time() + self._gap
            self._gap *= 2
        self._timer = self._loop.call_later(LOOK_SECONDS, self._look)
