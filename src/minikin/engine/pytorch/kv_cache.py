"""The keys and values of all sequences, as tensors."""

from __future__ import annotations

import numpy as np
import torch

from minikin.engine.model.architecture import Architecture
from minikin.engine.model.block import BLOCK
from minikin.engine.model.kv_cache import block_shapes, lazy_zeros, new_states


class TorchKVCache:
    """As `minikin.engine.model.kv_cache.KVCache`, of any type and on any device."""

    def __init__(
        self,
        architecture: Architecture,
        tokens: int,
        rooms: int,
        *,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        a = architecture
        self.blocks, self.rooms = tokens // BLOCK, rooms if a.recurrence else 0
        self.states = torch.from_numpy(new_states(a, rooms)).to(device)
        self.keys, self.values = (
            [_zeros((self.blocks, *shape), dtype, device) for shape in shapes]
            for shapes in block_shapes(a)
        )

    def write(
        self, layer: int, slots: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> None:
        """Store [T, kv_heads, head_dim] keys and values in `slots` [T]."""
        block, offset = slots // BLOCK, slots % BLOCK
        own_keys, own_values = self.keys[layer], self.values[layer]
        own_keys[block, :, :, offset] = keys.unflatten(-1, (-1, 2)).to(own_keys.dtype)
        own_values[block, :, offset // 2, :, offset % 2] = values.to(own_values.dtype)

    def read(self, layer: int, blocks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The keys and values of `blocks` [..., N], each [..., kv_heads, N * BLOCK, head_dim]."""
        keys = self.keys[layer][blocks].movedim(-4, -5)  # [..., kv_heads, N, dim / 2, BLOCK, 2]
        values = self.values[layer][blocks].movedim(-4, -5)
        keys = keys.transpose(-3, -2).flatten(-2).flatten(-3, -2)
        values = values.transpose(-2, -1).flatten(-4, -2)
        return keys, values


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    same_size = np.uint16 if dtype.itemsize == 2 else np.float32
    return torch.from_numpy(lazy_zeros(*shape, dtype=same_size)).view(dtype)
