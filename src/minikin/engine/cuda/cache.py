"""The keys and values of all sequences, in the layout that the kernels of a GPU read."""

from __future__ import annotations

import torch

from minikin.engine.model.architecture import Architecture
from minikin.engine.model.block import BLOCK


class PagedCache:
    """Keys and values in blocks of BLOCK slots, each [layers, slots, kv_heads, head_dim].

    A head's numbers for one token are contiguous, so that a GPU reads them 16 bytes at a time. Slot
    s is in block s // BLOCK.
    """

    def __init__(
        self, architecture: Architecture, tokens: int, *, dtype: torch.dtype, device: torch.device
    ) -> None:
        a = architecture
        self.blocks, self.rooms = tokens // BLOCK, 0
        self.spare = self.blocks
        """A block that no sequence has. The rows that fill up a step write to it."""
        slots = (self.blocks + 1) * BLOCK
        shape = a.layers, slots, a.kv_heads, a.head_dim
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
