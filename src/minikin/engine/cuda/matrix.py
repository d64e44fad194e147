"""Matrices on a GPU: in the numbers of the model, or packed as in its file."""

from __future__ import annotations

from collections.abc import Sequence as Run
from dataclasses import dataclass

import numpy as np
import torch

from minikin.engine.model.matrix import Matrix
from minikin.engine.native.contract import GROUP
from minikin.engine.native.levels import LEVEL_BITS
from minikin.engine.native.quantized import Blocks

HALF = GROUP // 2


@dataclass(frozen=True, kw_only=True)
class DeviceMatrix:
    """E matrices W [outputs, width] of the same shape, one after the other, with their biases.

    One matrix is E = 1. Experts of a mixture are several.
    """

    weight: torch.Tensor
    """[E, outputs, width], or packed uint8: [E, outputs, width / 2] if it is 4 bits.

    In 4 bits, a group of 32 levels is 16 bytes: level i in the low half of byte i, level 16 + i in
    the high half (as in ggml's Q4_0).
    """
    scale: torch.Tensor | None = None
    """[E, outputs, width / GROUP] float16. W = scale * level + minimum."""
    minimum: torch.Tensor | None = None
    bias: torch.Tensor | None = None
    """[E, outputs] float32."""
    width: int
    bits: int | None = None
    """Of a level: 4 or 8. None: the weights are numbers."""

    @property
    def outputs(self) -> int:
        """The number of rows of a matrix."""
        return self.weight.shape[1]

    @classmethod
    def of(cls, matrices: Run[Matrix], dtype: torch.dtype, device: torch.device) -> DeviceMatrix:
        """The same matrices. They stay quantized if they can, and have the type `dtype` if not."""
        biases = [one.bias for one in matrices]
        bias = None if biases[0] is None else _stacked([b for b in biases if b is not None], device)
        blocks = [Blocks.stack(one.parts) for one in matrices]
        kept = [one for one in blocks if one is not None]
        width = matrices[0].width
        if len(kept) < len(blocks) or width % GROUP:
            numbers = [torch.from_numpy(one.dense()).to(device, dtype) for one in matrices]
            return cls(weight=torch.stack(numbers), bias=bias, width=width)
        bits = max(one.bits for one in kept)
        levels = [pack_pairs(one.levels) if bits == 4 else one.levels for one in kept]
        return cls(
            weight=_stacked(levels, device),
            scale=_stacked([one.scale for one in kept], device),
            minimum=_stacked([one.minimum for one in kept], device),
            bias=bias,
            width=width,
            bits=bits,
        )

    def rows(self, which: torch.Tensor) -> torch.Tensor:
        """[count, width] float32: the rows `which` [count] of the first matrix."""
        part = DeviceMatrix(
            weight=self.weight[:1, which],
            scale=None if self.scale is None else self.scale[:1, which],
            minimum=None if self.minimum is None else self.minimum[:1, which],
            width=self.width,
            bits=self.bits,
        )
        return part.numbers()[0]

    def numbers(self) -> torch.Tensor:
        """[E, outputs, width] float32."""
        if self.scale is None or self.minimum is None:
            return self.weight.float()
        levels = self.weight.unflatten(-1, (self.scale.shape[-1], -1))
        if self.bits == 4:
            levels = torch.cat([levels & 15, levels >> 4], dim=-1)
        return (levels * self.scale[..., None].float() + self.minimum[..., None].float()).flatten(2)


def pack_pairs(levels: np.ndarray) -> np.ndarray:
    """Levels below 16, uint8 [outputs, width], as two in a byte: see `DeviceMatrix.weight`."""
    halves = levels.reshape(len(levels), -1, 2, HALF)
    return (halves[:, :, 0] | halves[:, :, 1] << 4).reshape(len(levels), -1)


def bytes_of(matrix: Matrix, value_bytes: int) -> int:
    """About as many as the matrix takes on the device."""
    bits = [LEVEL_BITS.get(kind) for _, kind in matrix.parts]
    known = [bit for bit in bits if bit is not None]
    each = max(known) / 8 + 4 / GROUP if len(known) == len(bits) else value_bytes
    return int(matrix.outputs * matrix.width * each)


def _stacked(arrays: Run[np.ndarray], device: torch.device) -> torch.Tensor:
    return torch.stack([torch.from_numpy(array).to(device) for array in arrays])
