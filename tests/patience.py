"""How long tests wait for what must happen: a busy machine needs many times the usual time."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 60.0
"""Seconds. A wait ends as soon as what it waits for has happened."""


def until(
    condition: Callable[[], object], seconds: float = PATIENCE, *, pause: float = 0.01
) -> None:
    """Wait until the condition holds. It is asked after each pause."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {seconds} s"
        time.sleep(pause)
