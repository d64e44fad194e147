"""What a worker may take, and how its own process is held to it."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one worker. A worker that goes too far ends, and is replaced."""

    seconds: float = 5.0
    """CPU time of one answer. A busy machine fails no worker that is merely waiting."""
    setup_seconds: float = 30.0
    """CPU time to get ready."""
    memory: int = 1024 * 1024 * 1024
    """Bytes of address space beyond what it has when it starts, and again once it is ready."""
    patience: float = 30.0
    """Seconds on the clock for one answer: a worker that is silent for longer hangs."""
    setup_patience: float = 120.0
    """Seconds on the clock to start and get ready."""


class OverTime(BaseException):
    """The work took too much CPU time. No `except Exception` in what runs can hold it up."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises OverTime in the block after `seconds` of CPU time.

    The system ends the process a second later: one call into C can take longer than any patience.
    """
    last = int(time.process_time() + seconds) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (last, resource.RLIM_INFINITY))

    def on_time_up(*_: object) -> None:
        raise OverTime(f"it ran over {seconds} s.")

    signal.signal(signal.SIGPROF, on_time_up)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def limit_memory(more: int) -> None:
    """Let this process take `more` bytes of address space than it has now, where Linux counts."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        now = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + more, resource.RLIM_INFINITY))


def leave_no_core() -> None:
    """A worker that is ended for going too far writes its memory to no file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
