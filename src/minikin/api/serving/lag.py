"""Measures how long one piece of work holds the event loop, while all other requests wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

INTERVAL = 0.01
"""Seconds between two measurements. They take about a thousandth of a core."""


class LagMeter:
    """Calls `observe` with the seconds for which a timer that was due had to wait.

    Time in which this process did not compute does not count: other programs on a busy machine make
    every timer late. Time in which another thread of this process holds Python's lock does count.
    """

    def __init__(self, observe: Callable[[float], None], interval: float = INTERVAL) -> None:
        self._observe = observe
        self._interval = interval
        self._timer: asyncio.TimerHandle | None = None
        self._due = self._spent = 0.0

    def start(self) -> None:
        """Start to measure the running loop."""
        self._due = time.monotonic() + self._interval
        self._spent = time.process_time()
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._tick)

    async def stop(self) -> None:
        """Stop to measure."""
        if self._timer:
            self._timer.cancel()

    def _tick(self) -> None:
        late = time.monotonic() - self._due
        self._observe(max(0.0, min(late, time.process_time() - self._spent)))
        self.start()
