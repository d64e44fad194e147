"""The character map of a SentencePiece model. It replaces character sequences in a text.

The format is that of SentencePiece's `precompiled_charsmap`: the size in bytes of a trie, the
trie (a double array of 32-bit units, in the layout of Darts-clone), then all replacements, each
with a zero byte at its end. All numbers are little-endian.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np

from minikin.errors import ModelFileError

_KEY = "tokenizer.ggml.precompiled_charsmap"
_LONGEST = 64
"""Maximum bytes of a sequence. Published maps have no longer ones."""


class CharsMap:
    """Replaces the longest known sequence at each place of a text."""

    def __init__(self, units: array[int], replacements: bytes) -> None:
        self._units = units
        self._replacements = replacements

    @classmethod
    def read(cls, metadata: Mapping[str, Any]) -> CharsMap | None:
        """The map of a GGUF file, or None. Raises ModelFileError for a broken map."""
        value = metadata.get(_KEY)
        if value is None:
            return None
        if not isinstance(value, np.ndarray) or value.dtype.itemsize != 1:
            raise ModelFileError(f"The model file's {_KEY} is not an array of bytes.")
        data = value.tobytes()
        size = int.from_bytes(data[:4], "little")
        if size == 0 or size % 4 or 4 + size >= len(data) or data[-1] != 0:
            raise ModelFileError(f"The model file's {_KEY} is not a character map.")
        units = array("I", np.frombuffer(data, "<u4", size // 4, 4).tolist())
        return cls(units, data[4 + size :])

    def replace(self, text: str) -> str:
        """The text in the form of the training data. Raises ValueError for lone surrogates."""
        data = text.encode()
        out: list[bytes] = []
        start = kept = 0
        while start < len(data):
            length, value = self._longest(data, start)
            if length:
                out += (data[kept:start], self._replacement(value))
                kept = start + length
            start += length or _width(data[start])
        return b"".join((*out, data[kept:])).decode(errors="replace")

    def _longest(self, data: bytes, start: int) -> tuple[int, int]:
        """Length in bytes and value of the longest sequence that starts here, or zeros."""
        units, count = self._units, len(self._units)
        found = (0, 0)
        node = _offset(units[0])
        for end in range(start, min(start + _LONGEST, len(data))):
            node ^= data[end]
            if node >= count or units[node] & 0x8000_00FF != data[end]:
                break
            unit = units[node]
            node ^= _offset(unit)
            if unit >> 8 & 1 and node < count:
                found = (end + 1 - start, units[node] & 0x7FFF_FFFF)
        return found

    def _replacement(self, value: int) -> bytes:
        return self._replacements[value : self._replacements.find(b"\0", value)]


def _offset(unit: int) -> int:
    return unit >> 10 << ((unit & 0x200) >> 6)


def _width(first: int) -> int:
    """The number of bytes of a UTF-8 character with this first byte."""
    return 1 if first < 0x80 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4
