"""How a process ended: by its own fault, or by a signal from outside."""

from __future__ import annotations

import signal

_OWN = frozenset(
    {
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGSEGV,
        signal.SIGSYS,
        signal.SIGTRAP,
        signal.SIGXCPU,
        signal.SIGXFSZ,
    }
)
"""The signals of crashes and of exceeded limits."""


def is_from_outside(status: int) -> bool:
    """Whether a signal that a process does not cause itself ended it.

    `status` is that of `Process.returncode`. Memory can be short because of the process or of
    others: SIGKILL is from outside.
    """
    return status < 0 and -status not in _OWN
