"""Tokens to text as they come, a whole character at a time."""

from __future__ import annotations

import codecs
from typing import Protocol


class Speller(Protocol):
    """What is needed of a tokenizer."""

    def token_bytes(self, token_id: int) -> bytes:
        """The token's own bytes, maybe a part of a character."""
        ...


class Detokenizer:
    """Holds back the bytes of a character until all of them are there.

    The texts together are what decoding all bytes at once with errors="replace" gives.
    """

    def __init__(self, tokenizer: Speller) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def add(self, token_id: int) -> str:
        """The characters that this token completes."""
        return self._decoder.decode(self._tokenizer.token_bytes(token_id))

    def flush(self) -> str:
        """What is left when no token follows: U+FFFD for half a character, or nothing."""
        return self._decoder.decode(b"", final=True)
