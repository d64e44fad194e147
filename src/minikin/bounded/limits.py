"""The limits of a worker, and how its process enforces them."""

from __future__ import annotations

import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

MEMORY_IS_LIMITED = sys.platform == "linux"
"""Whether the system enforces `limit_memory`. macOS accepts such limits and ignores them. There,
the caller watches the memory of the worker."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one worker. A worker that exceeds a limit ends and is replaced."""

    seconds: float = 5.0
    """CPU seconds for one answer. A worker that only waits on a busy machine does not fail."""
    setup_seconds: float = 30.0
    """CPU seconds to become ready."""
    memory: int = 1024 * 1024 * 1024
    """Additional bytes after the start, and again after it is ready: of address space on Linux, of
    memory elsewhere."""
    patience: float = 30.0
    """Wall seconds for one answer. A worker that is silent longer hangs."""
    setup_patience: float = 120.0
    """Wall seconds to start and become ready."""


class OverTime(BaseException):
    """The work needed too much CPU time. No `except Exception` in the work can catch it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises OverTime in the block after `seconds` of CPU time.

    The system ends the process one second later, because a single C call can block the exception.
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
    """Limit the address space to `more` bytes above the current size, where that helps."""
    if MEMORY_IS_LIMITED:
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + more, resource.RLIM_INFINITY))


def leave_no_core() -> None:
    """Prevent a core dump of a worker that exceeds a limit."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
