"""One matrix, two PyTorch kernels: 4-bit for a few rows, bfloat16 for many."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from minikin.engine.blocks import GROUP, Blocks
from minikin.engine.native.kernels import PackedMatrix

INT4_ROWS = 8
"""Up to this many rows the 4-bit kernel, which reads a quarter of the bytes, is the faster."""


class Linear:
    """y = x W^T for W of [out, in], x of [rows, in] in W's compute type."""

    def __init__(
        self,
        weight: torch.Tensor,
        int4: Int4Weight | None = None,
        packed: PackedMatrix | None = None,
    ) -> None:
        self.weight = weight
        self.int4 = int4
        self.packed = packed
        """The same matrix for the native kernels."""

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """[rows, in] -> [rows, out]."""
        if self.int4 is not None and x.shape[0] <= INT4_ROWS:
            return self.int4(x)
        return F.linear(x, self.weight)


class Int4Weight:
    """A matrix in the layout of PyTorch's 4-bit CPU kernel: (q - 8) * scale + zero, per GROUP."""

    def __init__(self, blocks: Blocks) -> None:
        levels, scale = blocks.levels.int(), blocks.scale.float()
        zero = blocks.minimum.float() + 8 * scale
        self.packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(levels, 2)
        pairs = torch.stack([scale, zero], dim=-1).transpose(0, 1)
        self.scale_and_zero = pairs.to(torch.bfloat16).contiguous()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """[rows, in] -> [rows, out], bfloat16."""
        return torch.ops.aten._weight_int4pack_mm_for_cpu(
            x, self.packed, GROUP, self.scale_and_zero
        )
