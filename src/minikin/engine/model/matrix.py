"""One matrix of a model: the bytes of the file, and the form of the native kernels."""

from __future__ import annotations

from collections.abc import Sequence as Run
from dataclasses import dataclass

import numpy as np

from minikin.engine.native.arrays import to_bfloat16
from minikin.engine.native.kernels import Kernels, PackedMatrix
from minikin.engine.native.quantized import SAMPLE, Blocks
from minikin.model_file.dequantize import NUMBERS_AT_ONCE, dequantize
from minikin.model_file.gguf import GGMLType

Part = tuple[np.ndarray, GGMLType]
"""Some rows of a matrix as in the file, uint8 [rows, bytes per row], and their type."""


@dataclass(frozen=True)
class Matrix:
    """W [outputs, width] of y = x W^T + b."""

    width: int
    parts: Run[Part]
    """Stacked. Empty if the matrix is packed."""
    bias: np.ndarray | None = None
    """b: [outputs] float32."""
    packed: PackedMatrix | None = None
    """W for the native kernels, if they support it."""

    @property
    def outputs(self) -> int:
        """The number of rows."""
        return sum(len(rows) for rows, _ in self.parts)

    @property
    def for_kernels(self) -> PackedMatrix:
        """`packed`, of a matrix that has it."""
        assert self.packed is not None
        return self.packed

    def dense(self) -> np.ndarray:
        """[outputs, width] float32."""
        return np.concatenate([
            dequantize(rows.reshape(-1), kind, (len(rows), self.width)) for rows, kind in self.parts
        ])  # fmt: skip


def pack(
    kernels: Kernels, matrix: Matrix, *, gated: bool = False, sample: int = SAMPLE
) -> PackedMatrix:
    """The matrix in the form of the kernels, which must support its shape.

    It stays quantized if its type fits (see `Blocks`), and is rounded to bfloat16 otherwise.
    """
    form = Blocks.stack(matrix.parts, sample, kernels.regroup) or _in_bfloat16(matrix)
    return PackedMatrix.pack(kernels, form, gated=gated)


def _in_bfloat16(matrix: Matrix) -> np.ndarray:
    """[outputs, width] as uint16."""
    if all(kind == GGMLType.BF16 for _, kind in matrix.parts):
        rows = [np.ascontiguousarray(rows).view(np.uint16) for rows, _ in matrix.parts]
        return np.concatenate(rows) if len(rows) > 1 else rows[0]
    values = np.empty((matrix.outputs, matrix.width), np.uint16)
    at, step = 0, max(1, NUMBERS_AT_ONCE // matrix.width)
    for rows, kind in matrix.parts:
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            dense = dequantize(some.reshape(-1), kind, (len(some), matrix.width))
            values[at : at + len(some)] = to_bfloat16(dense)
            at += len(some)
    return values
