"""The rule of `prompt`: a text, token ids, or an array of either."""

from __future__ import annotations

from typing import Any

import msgspec

from minikin.api.request import faults
from minikin.api.request.rules import Array, Text
from minikin.config import MAX_CHOICES

Prompt = str | list[int]
"""One prompt: a text, or token ids."""
_EXPECTED = "one of a string, array of strings, array of integers, or array of arrays of integers"


class Token(msgspec.Struct, frozen=True):
    """A token id. The model's tokenizer sets its range, which is checked later."""

    def check(self, value: Any, path: str) -> int:
        """See Rule."""
        if not isinstance(value, int) or isinstance(value, bool):
            raise faults.wrong_type(path, "an integer", value)
        return value

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        return {"type": "integer"}


TEXTS = Array(Text(), "an array of strings", MAX_CHOICES, min_length=1)
TOKENS = Array(Token(), "an array of integers", 2**20, min_length=1)
TOKEN_LISTS = Array(TOKENS, "an array of arrays of integers", MAX_CHOICES, min_length=1)


class Prompts(msgspec.Struct, frozen=True):
    """One or more prompts. The first element of an array decides what the others are."""

    def check(self, value: Any, path: str) -> list[Prompt]:
        """See Rule. Returns the prompts."""
        if isinstance(value, str):
            return [value]
        if not isinstance(value, list):
            raise faults.wrong_type(path, _EXPECTED, value)
        first = value[0] if value else ""
        if isinstance(first, list):
            return TOKEN_LISTS.check(value, path)
        if isinstance(first, int) and not isinstance(first, bool):
            return [TOKENS.check(value, path)]
        return TEXTS.check(value, path)

    @property
    def schema(self) -> dict[str, Any]:
        """See Rule."""
        kinds = (Text(), TEXTS, TOKENS, TOKEN_LISTS)
        return {"anyOf": [kind.schema for kind in kinds]}

    def __str__(self) -> str:
        return f"string, array of token ids, or array of at most {MAX_CHOICES} of either"
