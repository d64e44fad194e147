"""One matrix, two kernels: 4-bit for a few rows, bfloat16 for many."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

GROUP = 32
"""Weights that share a scale in Q4_0 and Q4_1, and so in the 4-bit kernel."""

INT4_ROWS = 8
"""Up to this many rows the 4-bit kernel, which reads a quarter of the bytes, is the faster."""


class Linear:
    """y = x W^T for W of [out, in], x of [rows, in] in W's compute type."""

    def __init__(self, weight: torch.Tensor, int4: Int4Weight | None = None) -> None:
        self.weight = weight
        self.int4 = int4

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """[rows, in] -> [rows, out]."""
        if self.int4 is not None and x.shape[0] <= INT4_ROWS:
            return self.int4(x)
        return F.linear(x, self.weight)


class Int4Weight:
    """A matrix in the layout of PyTorch's 4-bit CPU kernel: (q - 8) * scale + zero, per GROUP."""

    def __init__(self, levels: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor) -> None:
        """`levels` is [out, in] with values 0 to 15; `scale` and `zero` are [out, in / GROUP]."""
        self.packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(levels.int(), 2)
        pairs = torch.stack([scale, zero], dim=-1).transpose(0, 1)
        self.scale_and_zero = pairs.to(torch.bfloat16).contiguous()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """[rows, in] -> [rows, out], bfloat16."""
        return torch.ops.aten._weight_int4pack_mm_for_cpu(
            x, self.packed, GROUP, self.scale_and_zero
        )


def q4_levels(data: np.ndarray, shape: tuple[int, int], *, minimum: bool) -> Int4Weight:
    """Repack Q4_0 blocks (`minimum` False) or Q4_1 blocks (True) without requantizing.

    A Q4_0 block is a half-precision scale d and 16 bytes of levels, w = d (q - 8); Q4_1 has a
    half-precision minimum m after d, w = d q + m, which is d (q - 8) + (m + 8 d). Byte i holds
    weight i in its low half and weight i + 16 in its high half.
    """
    blocks = torch.from_numpy(data.copy()).view(-1, 20 if minimum else 18)
    out, width = shape
    head, levels = blocks.split([blocks.shape[1] - 16, 16], dim=1)
    constants = head.contiguous().view(torch.float16).float().view(out, width // GROUP, -1)
    scale = constants[..., 0]
    zero = constants[..., 1] + 8 * scale if minimum else torch.zeros_like(scale)
    levels = torch.cat([levels & 15, levels >> 4], dim=1).view(out, width)
    return Int4Weight(levels, scale, zero)
