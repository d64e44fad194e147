"""The memory and the processors that this process may use, on a host or in a container."""

from __future__ import annotations

import math
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_LIMITS = Path("/sys/fs/cgroup")
_SYSCTL = "/usr/sbin/sysctl"


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
    if sys.platform == "linux":
        count = len(os.sched_getaffinity(0))
    else:
        count = fast_cores(sysctl()) or os.cpu_count() or 1
    limit = _limit("cpu.max")
    if len(limit) == 2 and limit[0].isdigit() and limit[1].isdigit():
        count = min(count, math.ceil(int(limit[0]) / max(1, int(limit[1]))))
    return max(1, count)


def fast_cores(values: Mapping[str, str]) -> int:
    """The cores of an Apple processor without its efficiency cores, by values of `sysctl`.

    A product ends with its slowest chunk, so slow cores would delay the fast ones. 0: the values do
    not say.
    """
    levels = range(int(values.get("hw.nperflevels", 0)))
    fast = (n for n in levels if values.get(f"hw.perflevel{n}.name") != "Efficiency")
    return sum(int(values.get(f"hw.perflevel{n}.logicalcpu", 0)) for n in fast)


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
    name = next(names, "") or sysctl().get("machdep.cpu.brand_string")
    return name or platform.processor() or platform.machine()


@cache
def sysctl() -> dict[str, str]:
    """What macOS says of its hardware, by names such as `hw.memsize`. Empty on other systems."""
    if sys.platform != "darwin":
        return {}
    command = [_SYSCTL, "hw", "machdep.cpu"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)
