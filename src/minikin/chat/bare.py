"""Arguments of tool calls as an object with bare names: `{a:<|"|>x<|"|>,b:[1,true]}`.

Gemma 4 writes them. Its quotes are one token, so that texts need no escapes. JSON is read too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from minikin.chat.argument_reader import ArgumentReader
from minikin.chat.keywords import ValueReader
from minikin.marks import GEMMA_QUOTE

_NAME = re.compile(r"""[^\s\[\]{}(),:'"<]{1,64}""")
"""A name that needs no quotes."""


def written(value: Any, hide: Callable[[str], str]) -> str:
    """A value as a model writes it. `hide` is applied to names and texts."""
    if isinstance(value, str):
        return f"{GEMMA_QUOTE}{hide(value)}{GEMMA_QUOTE}"
    if isinstance(value, dict):
        items = (f"{hide(_name(name))}:{written(one, hide)}" for name, one in value.items())
        return "{" + ",".join(items) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(one, hide) for one in value) + "]"
    return json.dumps(value)


def _name(name: str) -> str:
    return name if _NAME.fullmatch(name) else json.dumps(name, ensure_ascii=False)


class BareReader(ArgumentReader):
    """Reads an object, up to the first text that does not belong to it."""

    def __init__(self) -> None:
        super().__init__()
        self._value = ValueReader(GEMMA_QUOTE)

    def _between(self) -> Iterator[str]:
        made, self.rest = self._value.feed(self.rest)
        self.complete = self._value.closed
        yield made
