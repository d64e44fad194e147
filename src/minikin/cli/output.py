"""How commands print: results to stdout, everything else to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

console = Console(highlight=False, markup=False, emoji=False)
wide = Console(highlight=False, markup=False, emoji=False, width=1000)
"""For tables: a narrow terminal wraps their lines and does not cut names."""
errors = Console(stderr=True, highlight=False, markup=False, emoji=False)


def own_name() -> str:
    """How the user types `minikin` here."""
    beside = Path(sys.executable).with_name("minikin")
    return "minikin" if which("minikin") or not beside.exists() else os.path.relpath(beside)


class DownloadBar:
    """Shows a download on stderr, with one bar for each stage."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def begin(self, label: str, total: int | None) -> None:
        """Start a bar, or restart the running one if it has the same label."""
        self._bars.start()  # only now: if everything is in the cache, nothing is printed
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
def progress_bar(label: str) -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar that exists while the block runs. It shows a label, and how many of how many."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors) as bars:
        task = bars.add_task(label, total=None)
        yield lambda label, done, total: bars.update(
            task, description=label, completed=done, total=total
        )


@contextmanager
def download_bar() -> Iterator[DownloadBar]:
    """A bar that exists while the block runs."""
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
