"""The memory and the processors that this process may use, on a host or in a container."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path

_LIMITS = Path("/sys/fs/cgroup")


def memory() -> int:
    """Total bytes of memory, up to the limit of the container."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _limit("memory.max")
    return min(total, int(limit[0])) if limit and limit[0].isdigit() else total


def processors() -> int:
    """Processors that this process may use at the same time.

    Its affinity limits them, and a quota (cgroup v2, `cpu.max`: microseconds for each period). More
    threads than that would wait for each other.
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limit = _limit("cpu.max")
    if len(limit) == 2 and limit[0].isdigit() and limit[1].isdigit():
        count = min(count or 1, math.ceil(int(limit[0]) / max(1, int(limit[1]))))
    return max(1, count or 1)


def side_threads() -> int:
    """Threads of a process for long work beside its event loop: one for two processors, at most 2.

    Where threads wait for a processor, so does the one that holds Python's lock, and the event loop
    waits for both. On two processors with a busy engine, two such threads held it up for 0.1
    seconds, and one for 0.01.
    """
    return min(2, max(1, processors() // 2))


def _limit(name: str) -> list[str]:
    try:
        return (_LIMITS / name).read_text().split()
    except OSError:
        return []


def processor_name() -> str:
    """What its maker calls it, as far as the system knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
