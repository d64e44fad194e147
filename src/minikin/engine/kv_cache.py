"""The keys and values of all sequences: the memory that `block_pool` hands out."""

from __future__ import annotations

import torch

from minikin.engine.architecture import Architecture
from minikin.engine.block_pool import BLOCK


class KVCache:
    """Keys and values, each [layers, slots, kv_heads, head_dim]; BLOCK slots make a block."""

    def __init__(
        self, architecture: Architecture, tokens: int, *, dtype: torch.dtype, device: torch.device
    ) -> None:
        a = architecture
        self.blocks = tokens // BLOCK
        shape = (a.layers, self.blocks * BLOCK, a.kv_heads, a.head_dim)
        # Untouched pages cost no memory on a CPU, so a large cache is free until it is used.
        self.keys = torch.empty(shape, dtype=dtype, device=device)
        self.values = torch.empty(shape, dtype=dtype, device=device)
