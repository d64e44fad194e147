"""The keys and values of all sequences: the memory that `block_pool` allocates."""

from __future__ import annotations

import contextlib
import math
import mmap

import torch

from minikin.engine.model.architecture import Architecture
from minikin.engine.model.block import BLOCK


class KVCache:
    """Keys and values in blocks of BLOCK slots, in the layout of a matrix unit.

    Keys are [layers, blocks, kv_heads, head_dim / 2, BLOCK, 2], values [layers, blocks, kv_heads,
    BLOCK / 2, head_dim, 2]: the dimension that a product sums over is in pairs.
    """

    def __init__(
        self, architecture: Architecture, tokens: int, *, dtype: torch.dtype, device: torch.device
    ) -> None:
        a = architecture
        self.blocks = tokens // BLOCK
        most = a.layers, self.blocks, a.kv_heads
        self.keys = _zeros((*most, a.head_dim // 2, BLOCK, 2), dtype, device)
        self.values = _zeros((*most, BLOCK // 2, a.head_dim, 2), dtype, device)

    def write(
        self, layer: int, slots: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> None:
        """Store [T, kv_heads, head_dim] keys and values in `slots` [T]."""
        block, offset = slots // BLOCK, slots % BLOCK
        paired = keys.unflatten(-1, (-1, 2)).to(self.keys.dtype)
        self.keys[layer][block, :, :, offset] = paired
        self.values[layer][block, :, offset // 2, :, offset % 2] = values.to(self.values.dtype)

    def read(self, layer: int, blocks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The keys and values of `blocks` [..., N], each [..., kv_heads, N * BLOCK, head_dim]."""
        keys = self.keys[layer][blocks].movedim(-4, -5)  # [..., kv_heads, N, dim / 2, BLOCK, 2]
        values = self.values[layer][blocks].movedim(-4, -5)
        keys = keys.transpose(-3, -2).flatten(-2).flatten(-3, -2)
        values = values.transpose(-2, -1).flatten(-4, -2)
        return keys, values


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Zeros, because an unused slot is still multiplied, by zero.

    On a CPU, the pages are the system's zero pages until they are written to, so that a large cache
    needs no memory until it is used. PyTorch would write all of them. Huge pages are used if the
    system has them, because they cause fewer page faults and TLB misses.
    """
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    memory = mmap.mmap(-1, math.prod(shape) * dtype.itemsize)
    with contextlib.suppress(OSError, AttributeError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype).view(shape)
