"""Blocks of packed numbers as levels, scales and minima."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Parts(NamedTuple):
    """Blocks of a quantized type: w = scale * (level - zero) + minimum."""

    levels: np.ndarray
    """uint8 [blocks, block_size]."""
    scale: np.ndarray
    """float32 [blocks, groups]. A group is an equal part of a block: 32 or 16 levels."""
    zero: int = 0
    minimum: np.ndarray | None = None
    """The same shape as `scale`. None means 0."""

    def values(self) -> np.ndarray:
        """float32 [blocks, block_size]."""
        values = self.levels.reshape(*self.scale.shape, -1).astype(np.float32)
        values -= self.zero
        values *= self.scale[..., None]
        if self.minimum is not None:
            values += self.minimum[..., None]
        return values.reshape(self.levels.shape)


def fields(packed: np.ndarray, width: int, run: int) -> np.ndarray:
    """Split bytes [n, k] into numbers of `width` bits, uint8 [n, k * 8 / width].

    In each run of `run` bytes, the lowest numbers of all bytes come first, then the next ones.
    """
    rows = np.ascontiguousarray(packed).reshape(-1, run)
    places = range(8 // width)
    numbers = np.empty((len(rows), len(places), run), dtype=np.uint8)
    for place in places:
        numbers[:, place] = rows >> np.uint8(place * width) & np.uint8(2**width - 1)
    return numbers.reshape(len(packed), -1)


def column(values: np.ndarray) -> np.ndarray:
    """[n] -> float32 [n, 1]."""
    return values.astype(np.float32)[:, None]
