"""How a download reports its progress, and how sizes are written."""

from __future__ import annotations

from typing import Protocol


def readable_size(size: int) -> str:
    """A readable size in bytes: `98 MB`, `4.1 GB`."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"


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
