"""Turns tokens into text, one complete character at a time."""

from __future__ import annotations

import codecs
from typing import Protocol


class Speller(Protocol):
    """The required interface of a tokenizer."""

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes of the token, possibly a part of a character."""
        ...


class Detokenizer:
    """Holds back the bytes of a character until it is complete.

    All texts together equal the result of decoding all bytes with errors="replace".
    """

    def __init__(self, tokenizer: Speller) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def add(self, token_id: int) -> str:
        """The characters that this token completes."""
        return self._decoder.decode(self._tokenizer.token_bytes(token_id))

    def flush(self) -> str:
        """The rest at the end of the answer: U+FFFD for an incomplete character, or nothing."""
        return self._decoder.decode(b"", final=True)
