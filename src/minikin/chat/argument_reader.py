"""What readers of a call's arguments have in common: states, and the text that is left."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator


def overlap(text: str, begin: str) -> int:
    """The length of the longest end of `text` that is a prefix of `begin`, but not all of it."""
    for size in range(min(len(text), len(begin) - 1), 0, -1):
        if begin.startswith(text[-size:]):
            return size
    return 0


class ArgumentReader(ABC):
    """Turns the arguments of one call into a JSON object, as they arrive, state by state."""

    def __init__(self) -> None:
        self._state = self._between
        self._any = False
        self.rest = ""
        """The text that was not read yet: after the end, all that follows the arguments."""
        self.complete = False

    def feed(self, text: str) -> str:
        """Add text. Returns more of the JSON."""
        self.rest += text
        made = ""
        while not self.complete:
            state, size = self._state, len(self.rest)
            made += "".join(state())
            if self._state == state and len(self.rest) == size:
                break
        return made

    @abstractmethod
    def _between(self) -> Iterator[str]:
        """Between arguments: the first state."""

    def _named(self, name: str) -> str:
        """The JSON before the value of the next argument."""
        begin, self._any = ", " if self._any else "{", True
        return f"{begin}{json.dumps(name, ensure_ascii=False)}: "

    def _ended(self) -> str:
        """The JSON after the last argument."""
        self.complete = True
        return "}" if self._any else "{}"
