"""Memory of this process: free memory goes back to the system, and what stays is left alone."""

from __future__ import annotations

import ctypes
import gc
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STATM = Path("/proc/self/statm")
_PAGE = resource.getpagesize()
WORTH = 4 * 1024 * 1024
"""Bytes of growth that are worth the time to return them: some milliseconds."""


class FreeMemory:
    """The free memory of this process. Only with glibc on Linux; elsewhere it does nothing."""

    def __init__(self) -> None:
        self._trim = _malloc_trim()
        self._least = 0
        """Resident bytes after the last return, or fewer that were seen since."""

    def give_back(self) -> None:
        """Return it if the process has grown since the last call. Other threads can run."""
        if self._trim is None:
            return
        size = resident()
        if size > self._least + WORTH:
            if gc.isenabled():  # or else it would visit what `lasting` makes now
                gc.collect()
            self._trim(0)
            size = self._least = resident()
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


def resident() -> int:
    """Bytes of this process in memory. Linux only."""
    return int(_STATM.read_bytes().split()[1]) * _PAGE


def _malloc_trim() -> ctypes._NamedFuncPointer | None:
    if not _STATM.exists():
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
