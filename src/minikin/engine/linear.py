"""One matrix, two PyTorch kernels: 4-bit for a few rows, bfloat16 for many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from minikin.engine.native.kernels import Q4Matrix

GROUP = 32
"""Weights that share a scale in Q4_0 and Q4_1, and so in the 4-bit kernel."""

INT4_ROWS = 8
"""Up to this many rows the 4-bit kernel, which reads a quarter of the bytes, is the faster."""


class Linear:
    """y = x W^T for W of [out, in], x of [rows, in] in W's compute type."""

    def __init__(
        self,
        weight: torch.Tensor,
        int4: Int4Weight | None = None,
        q4: Q4Matrix | None = None,
    ) -> None:
        self.weight = weight
        self.int4 = int4
        self.q4 = q4
        """The same matrix for the native kernels."""

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


@dataclass(frozen=True)
class Q4Blocks:
    """A Q4_0 or Q4_1 matrix taken apart: w = scale * level + minimum."""

    levels: torch.Tensor
    """[out, in] uint8, 0 to 15."""
    scale: torch.Tensor
    """[out, in / GROUP] half."""
    minimum: torch.Tensor
    """[out, in / GROUP] half."""

    @classmethod
    def read(cls, data: np.ndarray, shape: tuple[int, int], *, minimum: bool) -> Q4Blocks:
        """From the file's bytes; Q4_1 has a `minimum`, Q4_0 not.

        A Q4_0 block is a half-precision scale d and 16 bytes of levels, w = d (q - 8); Q4_1 has a
        half-precision minimum m after d, w = d q + m. Byte i holds weight i in its low half and
        weight i + 16 in its high half.
        """
        out, width = shape
        blocks = torch.from_numpy(data.copy()).view(-1, 20 if minimum else 18)
        head, packed = blocks.split([blocks.shape[1] - 16, 16], dim=1)
        constants = head.contiguous().view(torch.float16).view(out, width // GROUP, -1)
        scale = constants[..., 0]
        # -8 d is exact: eight is a power of two.
        least = constants[..., 1] if minimum else -8 * scale
        levels = torch.cat([packed & 15, packed >> 4], dim=1).view(out, width)
        return cls(levels, scale.contiguous(), least.contiguous())

    def int4(self) -> Int4Weight:
        """For PyTorch's kernel: w = scale (q - 8) + (minimum + 8 scale)."""
        scale = self.scale.float()
        return Int4Weight(self.levels, scale, self.minimum.float() + 8 * scale)
