"""Custom tools: the model calls a function with one text, which the client sees as the input."""

from __future__ import annotations

import json
import re
from typing import Any

INPUT = "input"
"""The function's only parameter."""
_HEAD = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_COMPLETE = re.compile(
    r"""(?:
        [^"\\]
        | \\u[dD][89abAB][0-9a-fA-F]{2}(?:\\u[0-9a-fA-F]{4}|(?=[^\\]|\\[^u]))
        | \\u(?![dD][89abAB])[0-9a-fA-F]{4}
        | \\[^u]
    )*""",
    re.VERBOSE,
)
"""The characters of a string up to its end, or up to an escape that is not complete."""


def parameters(tool: dict[str, Any]) -> dict[str, Any]:
    """The schema of the function that represents a custom tool."""
    text = {"type": "string"}
    if definition := lark(tool):
        text["description"] = f"A text of this Lark grammar:\n{definition}"
    elif definition := (tool.get("format") or {}).get("definition"):
        text["pattern"] = f"^(?:{definition})$"
    return {
        "type": "object",
        "properties": {INPUT: text},
        "required": [INPUT],
        "additionalProperties": False,
    }


def lark(tool: dict[str, Any]) -> str | None:
    """The Lark grammar of a tool's input, if it has one."""
    wanted = tool.get("format") or {}
    return wanted["definition"] if wanted.get("syntax") == "lark" else None


def arguments(given: str) -> str:
    """The arguments of an earlier call with this input."""
    return json.dumps({INPUT: given}, ensure_ascii=False)


class InputReader:
    """Reads the text out of the arguments, which arrive in pieces."""

    def __init__(self, *, raw: bool = False) -> None:
        """A `raw` text has no escapes and no end (see SchemaPart.lark)."""
        self._raw = raw
        self._buffer = ""
        self._state = "before"

    def feed(self, more: str) -> str:
        """Add arguments. Returns the new part of the text."""
        self._buffer += more
        if self._state == "before" and (head := _HEAD.match(self._buffer)):
            self._buffer, self._state = self._buffer[head.end() :], "inside"
        if self._state != "inside":
            return ""
        if self._raw:
            text, self._buffer = self._buffer, ""
            return text
        complete = _COMPLETE.match(self._buffer)
        assert complete
        self._buffer = self._buffer[complete.end() :]
        if self._buffer.startswith('"'):
            self._state = "after"
        return _decoded(complete.group())


def _decoded(escaped: str) -> str:
    """The characters of a part of a JSON string. Half a surrogate pair is replaced."""
    text: str = json.loads(f'"{escaped}"', strict=False)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
