"""Measures how long one piece of work holds the event loop, while all other requests wait."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

INTERVAL = 0.02
"""Seconds between two measurements, and the most by which one is too small. On a virtual machine,
each takes 60 to 100 microseconds of CPU time, nearly all of it to wake up."""
WAITS = Path("/proc/thread-self/schedstat")
"""Of a thread: nanoseconds on a processor, nanoseconds of waiting for one, turns. See proc(5)."""


class LagMeter:
    """Calls `observe` with the seconds for which a timer that was due had to wait.

    Time in which this process did not compute, or in which the loop's thread waited for a processor
    (Linux), does not count: other programs on a busy machine make every timer late. Time in which
    another thread of this process holds Python's lock does count.
    """

    def __init__(self, observe: Callable[[float], None], interval: float = INTERVAL) -> None:
        self._observe = observe
        self._interval = interval
        self._timer: asyncio.TimerHandle | None = None
        self._due = self._spent = self._waited = 0.0
        self._waits: IO[bytes] | None = None

    def start(self) -> None:
        """Start to measure the running loop. Its thread calls this."""
        if WAITS.exists():
            self._waits = WAITS.open("rb", buffering=0)
        self._begin()

    async def stop(self) -> None:
        """Stop to measure."""
        if self._timer:
            self._timer.cancel()
        if self._waits:
            self._waits.close()
            self._waits = None

    def _begin(self) -> None:
        self._due = time.monotonic() + self._interval
        self._spent, self._waited = time.process_time(), self._wait_seconds()
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._tick)

    def _tick(self) -> None:
        late = time.monotonic() - self._due - (self._wait_seconds() - self._waited)
        self._observe(max(0.0, min(late, time.process_time() - self._spent)))
        self._begin()

    def _wait_seconds(self) -> float:
        """Seconds for which the loop's thread has waited for a processor so far."""
        if self._waits is None:
            return 0.0
        return int(os.pread(self._waits.fileno(), 64, 0).split()[1]) / 1e9
