"""The memory of processes: what they use, returning what is free, and leaving alone what stays."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_PROC = Path("/proc")
_PAGE = resource.getpagesize()
WORTH = 4 * 1024 * 1024
"""Bytes of growth that are worth the time to return them: some milliseconds."""


class FreeMemory:
    """The free memory of this process, with glibc or on macOS. Elsewhere it does nothing."""

    def __init__(self) -> None:
        self._trim = _trim()
        self._least = bytes_of(os.getpid())
        """Bytes in memory after the last return, at first now, or fewer that were seen since."""

    def give_back(self) -> None:
        """Return it if the process has grown since the last return. Other threads can run."""
        if self._trim is None:
            return
        size = bytes_of(os.getpid())
        if size > self._least + WORTH:
            if gc.isenabled():  # or else it would visit what `lasting` makes now
                gc.collect()
            self._trim()
            size = self._least = bytes_of(os.getpid())
        self._least = min(self._least, size)


@contextmanager
def lasting() -> Iterator[None]:
    """The objects that the block makes stay: the garbage collector never visits them.

    A full collection holds Python's lock, with the 250,000 objects of a catalog for 0.1 seconds and
    more. These objects are freed when nothing refers to them, except those in a cycle.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def bytes_of(process: int) -> int:
    """Bytes of a process in memory, as its system counts them.

    Linux counts resident pages (proc(5), statm), macOS the footprint. 0: it ended, or the system is
    another one.
    """
    if sys.platform == "darwin":
        return _footprint(process)
    try:
        return int((_PROC / str(process) / "statm").read_bytes().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


class RusageInfo(ctypes.Structure):
    """`struct rusage_info_v0` of macOS's <sys/resource.h>."""

    _fields_ = (
        ("ri_uuid", ctypes.c_uint8 * 16),
        ("ri_user_time", ctypes.c_uint64),
        ("ri_system_time", ctypes.c_uint64),
        ("ri_pkg_idle_wkups", ctypes.c_uint64),
        ("ri_interrupt_wkups", ctypes.c_uint64),
        ("ri_pageins", ctypes.c_uint64),
        ("ri_wired_size", ctypes.c_uint64),
        ("ri_resident_size", ctypes.c_uint64),
        ("ri_phys_footprint", ctypes.c_uint64),
        ("ri_proc_start_abstime", ctypes.c_uint64),
        ("ri_proc_exit_abstime", ctypes.c_uint64),
    )


RUSAGE_INFO_V0 = 0
"""What proc_pid_rusage writes a RusageInfo for."""


def _footprint(process: int) -> int:
    usage = RusageInfo()
    failed = ctypes.CDLL(None).proc_pid_rusage(process, RUSAGE_INFO_V0, ctypes.byref(usage))
    return 0 if failed else usage.ri_phys_footprint


def _trim() -> Callable[[], object] | None:
    """What returns the allocator's free memory, if this system has it."""
    system = ctypes.CDLL(None)
    if sys.platform == "darwin":  # <malloc/malloc.h>: of all zones, as much as can be
        relieve = system.malloc_zone_pressure_relief
        relieve.argtypes, relieve.restype = [ctypes.c_void_p, ctypes.c_size_t], ctypes.c_size_t
        return lambda: relieve(None, 0)
    trim = getattr(system, "malloc_trim", None)
    return trim and (lambda: trim(0))
