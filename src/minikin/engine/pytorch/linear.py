"""One matrix and the kernel that multiplies with it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from minikin.engine.model.matrix import Matrix
from minikin.engine.native.contract import GROUP, PANEL
from minikin.engine.native.kernels import PackedMatrix
from minikin.engine.native.quantized import Blocks

INT4_ROWS = 8
"""Up to this many rows, PyTorch's 4-bit kernel is faster. It reads a quarter of the bytes."""


class Linear:
    """y = x W^T + b, with W [out, in] and x [rows, in].

    W has one form: packed for the native kernels, or dense in its compute type. Where it is faster,
    PyTorch's 4-bit form is stored too. b is float32.
    """

    def __init__(
        self,
        weight: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
        *,
        int4: Int4Weight | None = None,
        packed: PackedMatrix | None = None,
    ) -> None:
        self._weight = weight
        self.bias = bias
        self._int4 = int4
        self.packed = packed

    @classmethod
    def of(cls, matrix: Matrix, dtype: torch.dtype, device: torch.device) -> Linear:
        """The same matrix. A dense one has this type."""
        bias = None if matrix.bias is None else torch.from_numpy(matrix.bias).to(device)
        if matrix.packed is not None:
            return cls(bias=bias, packed=matrix.packed)
        int4 = None
        if device.type == "cpu":
            blocks = Blocks.stack(matrix.parts)
            fits = blocks is not None and blocks.bits == 4 and matrix.outputs % PANEL == 0
            int4 = Int4Weight(blocks) if blocks is not None and fits else None
        weight = torch.from_numpy(matrix.dense()).to(device, dtype)
        return cls(weight, bias, int4=int4)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """[rows, in] -> [rows, out]."""
        y = self._product(x)
        return y if self.bias is None else y + self.bias

    def _product(self, x: torch.Tensor) -> torch.Tensor:
        if self.packed is not None:
            return torch.from_numpy(self.packed.product(x.float().numpy()))
        assert self._weight is not None
        x = x.to(self._weight.dtype)
        if self._int4 is not None and x.shape[0] <= INT4_ROWS:
            return self._int4(x)
        return F.linear(x, self._weight)

    def rows(self, which: torch.Tensor) -> torch.Tensor:
        """[count, in] float32: the rows `which` [count] int64, as in an embedding table."""
        if self.packed is not None:
            return torch.from_numpy(self.packed.rows(which.numpy()))
        assert self._weight is not None
        return F.embedding(which, self._weight).float()


class Int4Weight:
    """A matrix in the layout of PyTorch's 4-bit CPU kernel: (q - 8) * scale + zero, per GROUP."""

    def __init__(self, blocks: Blocks) -> None:
        levels = torch.from_numpy(blocks.levels.astype(np.int32))
        scale = torch.from_numpy(blocks.scale).float()
        zero = torch.from_numpy(blocks.minimum).float() + 8 * scale
        self.packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(levels, 2)
        pairs = torch.stack([scale, zero], dim=-1).transpose(0, 1)
        self.scale_and_zero = pairs.to(torch.bfloat16).contiguous()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """[rows, in] -> [rows, out], in bfloat16, because the kernel is slow in float32."""
        y = torch.ops.aten._weight_int4pack_mm_for_cpu(
            x.bfloat16(), self.packed, GROUP, self.scale_and_zero
        )
        return y.to(x.dtype)
