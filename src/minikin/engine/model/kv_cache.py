"""The keys, values and states of all sequences: the memory that the engine's pools allocate."""

from __future__ import annotations

import contextlib
import math
import mmap
import sys

import numpy as np
from numpy.typing import DTypeLike

from minikin.config import CACHE_SHARE, MOST_TOKENS
from minikin.engine.model.architecture import Architecture
from minikin.engine.model.block import BLOCK


class KVCache:
    """Keys and values in blocks of BLOCK slots, bfloat16 as uint16, in the layout of a matrix unit.

    Keys are [blocks, kv_heads, head_dim / 2, BLOCK, 2], values [blocks, kv_heads, BLOCK / 2,
    head_dim, 2], one array for each layer with attention: the dimension that a product sums over is
    in pairs. Layers with a recurrence have states, [layers, rooms, size] float32.
    """

    value_bytes = 2

    def __init__(self, architecture: Architecture, tokens: int, rooms: int) -> None:
        a = architecture
        self.blocks, self.rooms = tokens // BLOCK, rooms if a.recurrence else 0
        self.states = new_states(a, rooms)
        self.keys, self.values = (
            [lazy_zeros(self.blocks, *shape, dtype=np.uint16) for shape in shapes]
            for shapes in block_shapes(a)
        )


def block_shapes(a: Architecture) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """The shapes of a block of keys, and of values, for each layer that has some."""
    keys = [(count, dim // 2, BLOCK, 2) for count, dim in a.cached_heads]
    return keys, [(count, BLOCK // 2, dim, 2) for count, dim in a.cached_heads]


def new_states(a: Architecture, rooms: int) -> np.ndarray:
    """[layers, rooms, size] float32: zeros, as in the room of the empty state."""
    if a.recurrence is None:
        return np.zeros((0, 0, 0), np.float32)
    return lazy_zeros(sum(a.recurs), rooms, a.recurrence.size, dtype=np.float32)


def tokens_that_fit(a: Architecture, value_bytes: int, memory: int) -> int:
    """The number of tokens whose cache fits CACHE_SHARE of `memory` bytes, up to MOST_TOKENS."""
    token = a.key_values * value_bytes
    return max(BLOCK, min(MOST_TOKENS, int(memory * CACHE_SHARE) // token))


def lazy_zeros(*shape: int, dtype: DTypeLike) -> np.ndarray:
    """Zeros, because an unused slot is still multiplied, by zero.

    The pages are the system's zero pages until they are written to, so that a large cache needs no
    memory until it is used. Huge pages are used if the system has them, because they cause fewer
    page faults and TLB misses.
    """
    memory = mmap.mmap(-1, math.prod(shape) * np.dtype(dtype).itemsize)
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, dtype).reshape(shape)
