"""A half-closed client: it disconnected, or it only closed its sending side and waits.

The two cases look the same until the server sends something. The machine of a client that
disconnected then answers with a reset. Before the answer is known, the server can send the first
bytes that all answers have. It sends them one by one at growing intervals, to detect also clients
behind proxies and clients that disconnect later.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from minikin.api.http.exchange import Exchange

LOOK_SECONDS = 0.02
"""Seconds between two checks for a reset."""
FIRST_GAP = 0.1
"""Seconds between the first two bytes. Each interval is twice the one before."""


class HalfClosed:
    """Watches a half-closed connection while `exchange` returns the current exchange."""

    def __init__(self, transport: asyncio.Transport, exchange: Callable[[], Exchange]) -> None:
        self._transport = transport
        self._exchange = exchange
        self._loop = asyncio.get_running_loop()
        self._socket = transport.get_extra_info("socket")
        self._due = self._loop.time()
        self._gap = FIRST_GAP
        # Not now: the first look can already find a reset, whose end of the connection stops this.
        self._timer: asyncio.Handle = self._loop.call_soon(self._look)

    def stop(self) -> None:
        """Report that the connection is closed."""
        self._timer.cancel()

    def _look(self) -> None:
        if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._transport.abort()
            return
        if self._loop.time() >= self._due:
            self._exchange().begin_early()
            self._due = self._loop.time() + self._gap
            self._gap *= 2
        self._timer = self._loop.call_later(LOOK_SECONDS, self._look)
