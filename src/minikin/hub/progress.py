"""How a download tells whoever watches how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A watcher of one fetch, such as a progress bar."""

    def begin(self, label: str, total: int | None) -> None:
        """A new stretch of work starts; `total` is in bytes, None if unknown."""
        ...

    def reach(self, done: int) -> None:
        """`done` bytes of this stretch are there now; less than before after a fresh start."""
        ...

    def note(self, text: str) -> None:
        """Something worth a line of its own."""
        ...
