"""How much memory a process uses."""

from __future__ import annotations

import os
from pathlib import Path


def resident_bytes(process: int | None) -> int:
    """Bytes of a process in memory. 0: it ended, or the system has no /proc (proc(5), statm)."""
    if process is None:
        return 0
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
