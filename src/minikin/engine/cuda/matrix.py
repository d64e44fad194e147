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
    """[E, outputs, width], or levels uint8 [E, groups, outputs, 32], or 16 if they are 4 bits.

    A group is 32 inputs. The outputs of a group are adjacent, so that a GPU reads whole lines. In 4
    bits, level i is in the low half of byte i, and level 16 + i in the high half.
    """
    scale: torch.Tensor | None = None
    """[E, groups, outputs] float16. W = scale * level + minimum."""
    minimum: torch.Tensor | None = None
    bias: torch.Tensor | None = None
    """[E, outputs] float32."""
    width: int
    bits: int | None = None
    """Of a level: 4 or 8. None: the weights are numbers."""

    @property
    def outputs(self) -> int:
        """The number of rows of a matrix."""
        return self.weight.shape[1 if self.bits is None else 2]

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
        return cls(
            weight=_stacked([_by_group(one.levels, bits) for one in kept], device),
            scale=_stacked([one.scale.T for one in kept], device),
            minimum=_stacked([one.minimum.T for one in kept], device),
            bias=bias,
            width=width,
            bits=bits,
        )

    def rows(self, which: torch.Tensor) -> torch.Tensor:
        """[count, width] float32: the rows `which` [count] of the first matrix."""
        if self.scale is None or self.minimum is None:
            return self.weight[0, which].float()
        return self._values(
            self.weight[0, :, which], self.scale[0, :, which], self.minimum[0, :, which]
        )

    def numbers(self) -> torch.Tensor:
        """[E, outputs, width] float32."""
        if self.scale is None or self.minimum is None:
            return self.weight.float()
        return self._values(self.weight, self.scale, self.minimum)

    def _values(
        self, levels: torch.Tensor, scale: torch.Tensor, minimum: torch.Tensor
    ) -> torch.Tensor:
        """[..., outputs, width] from parts [..., groups, outputs]."""
        if self.bits == 4:
            levels = torch.cat([levels & 15, levels >> 4], dim=-1)
        values = levels * scale[..., None].float() + minimum[..., None].float()
        return values.transpose(-3, -2).flatten(-2)


def _by_group(levels: np.ndarray, bits: int) -> np.ndarray:
    """Levels uint8 [outputs, width] as in `DeviceMatrix.weight`, of one matrix."""
    groups = levels.reshape(len(levels), -1, GROUP).swapaxes(0, 1)
    return groups if bits == 8 else groups[..., :HALF] | groups[..., HALF:] << 4


def bytes_of(matrix: Matrix, value_bytes: int) -> int:
    """About as many as the matrix takes on the device."""
    bits = [LEVEL_BITS.get(kind) for _, kind in matrix.parts]
    known = [bit for bit in bits if bit is not None]
    each = max(known) / 8 + 4 / GROUP if len(known) == len(bits) else value_bytes
    return int(matrix.outputs * matrix.width * each)


def _stacked(arrays: Run[np.ndarray], device: torch.device) -> torch.Tensor:
    contiguous = map(np.ascontiguousarray, arrays)
    return torch.stack([torch.from_numpy(array).to(device) for array in contiguous])
