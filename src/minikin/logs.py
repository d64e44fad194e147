"""Log lines of all processes: their format, level and writers."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Literal, get_args

Level = Literal["debug", "info", "warning", "error"]
_LEVELS: tuple[Level, ...] = get_args(Level)
Format = Literal["text", "json"]

ACCESS = "minikin.access"
"""The logger of requests. It has its own switch, so the level does not change it."""


def set_up(level: Level, form: str = "%(message)s", *, as_json: bool = False) -> None:
    """Log Minikin's lines from `level` on to standard error, and warnings of all libraries.

    `form` is for lines of text. In JSON, each line is an object.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonFormatter() if as_json else _LineFormatter(form))
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


def style() -> str:
    """How this process logs, for `set_up_child` in a process that it starts."""
    as_json = any(isinstance(h.formatter, _JsonFormatter) for h in logging.root.handlers)
    return f"{level()} {'json' if as_json else 'text'}"


def set_up_child(style: str, name: str) -> None:
    """Log as the parent process does, with the name of this one. Raises KeyError."""
    words = style.split()
    levels: dict[str, Level] = {known: known for known in _LEVELS}
    set_up(levels[words[0]], f"{name}: %(levelname)s %(message)s", as_json=words[1:] == ["json"])


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


class _JsonFormatter(logging.Formatter):
    """Formats each record as a JSON object. `fields` of a record replace its message."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            **getattr(record, "fields", {"message": record.getMessage()}),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)
