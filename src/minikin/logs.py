"""Log lines of all processes: their form, how much is logged, and who writes them."""

from __future__ import annotations

import logging
from typing import Literal

Level = Literal["debug", "info", "warning", "error"]

ACCESS = "minikin.access"
"""The logger of requests; it has a switch of its own, so no level but `debug` changes it."""


def set_up(level: str, form: str = "%(message)s") -> None:
    """Log Minikin's lines from `level` on to standard error, and warnings of everybody else."""
    handler = logging.StreamHandler()
    handler.setFormatter(_LineFormatter(form))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("minikin").setLevel(level.upper())
    logging.getLogger(ACCESS).setLevel(logging.DEBUG if level == "debug" else logging.INFO)


def level() -> str:
    """How much this process logs, for `set_up` in a process that it starts."""
    return logging.getLevelName(logging.getLogger("minikin").getEffectiveLevel()).lower()


def one_line(text: str) -> str:
    """`text` with escapes in place of what could begin a line, move a cursor or hide text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _LineFormatter(logging.Formatter):
    """A line for each record. What clients and models write can't look like another record."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: object) -> str:  # noqa: N802
        """A traceback, indented: no line of it begins like a record."""
        lines = super().formatException(ei).split("\n")  # pyright: ignore
        return "\n".join(f"    {one_line(line)}" for line in lines)
