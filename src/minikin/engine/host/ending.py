"""How the engine process ended, and how suspicious the requests are that it ran."""

from __future__ import annotations

import signal
from typing import NamedTuple

from minikin.bounded.death import is_from_outside

CRASH = 3
"""The suspicion from a crash, or from a step that never ends."""
KILL = 2
"""The suspicion from SIGKILL. Usually somebody sent it, but the system does so too if a request
needs more memory than there is."""


class Ending(NamedTuple):
    """The end of an engine process."""

    status: int
    """As in `Process.returncode`."""
    by_server: bool = False
    """Whether the server killed it, because it was stuck."""

    @property
    def suspicion(self) -> int:
        """How suspicious it makes each request that ran."""
        if self.by_server or not is_from_outside(self.status):
            return CRASH
        return KILL if -self.status == signal.SIGKILL else 0

    def __str__(self) -> str:
        if self.status >= 0:
            return f"ended with status {self.status}"
        is_killed = -self.status == signal.SIGKILL and not self.by_server
        hint = " (is there enough memory?)" if is_killed else ""
        return f"was killed by {signal.Signals(-self.status).name}{hint}"
