"""What commands print with: answers to stdout, everything about them to stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

console = Console(highlight=False, markup=False, emoji=False)
wide = Console(highlight=False, markup=False, emoji=False, width=1000)
"""For tables: a narrow terminal wraps their lines, and no name is cut."""
errors = Console(stderr=True, highlight=False, markup=False, emoji=False)


def readable_size(size: int) -> str:
    """A size in bytes for people: `98 MB`, `4.1 GB`."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"


class DownloadBar:
    """Shows a fetch on stderr, a bar for each stretch of it."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def begin(self, label: str, total: int | None) -> None:
        """Start a bar, or start the running one anew if it has the same label."""
        self._bars.start()  # only now: a fetch that finds all in the cache prints nothing
        running = self._task is not None and self._bars.tasks[self._task].description == label
        if self._task is not None and running:
            self._bars.update(self._task, total=total)
        else:
            self._task = self._bars.add_task(label, total=total)

    def reach(self, done: int) -> None:
        """Move the running bar."""
        if self._task is not None:
            self._bars.update(self._task, completed=done)

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(text)


@contextmanager
def download_bar() -> Iterator[DownloadBar]:
    """A bar that lives as long as the block."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    bars = Progress(*columns, console=errors)
    try:
        yield DownloadBar(bars)
    finally:
        if bars.tasks:
            bars.stop()
