"""How a download reports its progress."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of one download, for example a progress bar."""

    def begin(self, label: str, total: int | None) -> None:
        """Start a new stage. `total` is in bytes, None if unknown."""
        ...

    def reach(self, done: int) -> None:
        """Report `done` bytes of this stage. The number decreases after a restart."""
        ...

    def note(self, text: str) -> None:
        """Report a line of text."""
        ...
