"""Log lines of all processes: their format, level and writers."""

from __future__ import annotations

import logging
from typing import Literal, get_args

Level = Literal["debug", "info", "warning", "error"]
_LEVELS: tuple[Level, ...] = get_args(Level)

ACCESS = "minikin.access"
"""The logger of requests. It has its own switch, so the level does not change it."""


def set_up(level: Level, form: str = "%(message)s") -> None:
    """Log Minikin's lines from `level` on to standard error, and warnings of all libraries."""
    handler = logging.StreamHandler()
    handler.setFormatter(_LineFormatter(form))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("minikin").setLevel(level.upper())
    logging.getLogger(ACCESS).setLevel(logging.DEBUG if level == "debug" else logging.INFO)


def level() -> Level:
    """The level of this process, for `set_up` in a process that it starts."""
    number = logging.getLogger("minikin").getEffectiveLevel()
    for name in _LEVELS:
        if logging.getLevelName(name.upper()) >= number:
            return name
    return "error"


def one_line(text: str) -> str:
    """`text` with escapes for characters that start a line, move the cursor or hide text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _LineFormatter(logging.Formatter):
    """Formats each record as one line. Text from clients and models cannot imitate a record."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: object) -> str:  # noqa: N802
        """An indented traceback, so that no line of it starts like a record."""
        lines = super().formatException(ei).split("\n")  # pyright: ignore
        return "\n".join(f"    {one_line(line)}" for line in lines)
