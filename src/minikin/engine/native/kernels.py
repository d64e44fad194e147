"""The C kernels, called with tensors."""

from __future__ import annotations

import ctypes

import torch

from minikin.engine.blocks import Blocks

GROUP = 32
PANEL = 16
TILE_ROWS = 5
"""From this many rows on, unpacking weights for the tile unit pays (measured: 4 to 6)."""
HEAD_DIMS = (64, 96, 128, 256)

_POINTER, _SIZE, _FLAG, _FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int, ctypes.c_float
_SIGNATURES = {
    "pack_matrix": [_POINTER] * 4 + [_SIZE] * 2 + [_FLAG],
    "packed_matmul": [_POINTER] * 3 + [_SIZE] * 3 + [_FLAG] * 3,
    "rms_norm": [_POINTER] * 3 + [_SIZE] * 2 + [_FLOAT],
    "silu_multiply": [_POINTER] * 2 + [_SIZE] * 2,
    "attend": [_POINTER] * 10 + [_SIZE] * 4,
}


class _InputsAt(ctypes.Structure):
    """`struct inputs`."""

    _fields_ = tuple((name, _POINTER) for name in ("rounded", "high", "low", "steps", "sums"))


class Inputs:
    """Room for rows in the two forms that `matmul` takes: bfloat16, and 16-bit integers.

    A row's value is step * (256 * high + low), with a step and a sum for each group of 32.
    """

    def __init__(self, rows: int, width: int) -> None:
        self.width = width
        self.rounded = torch.empty(rows, width, dtype=torch.bfloat16)
        self.high = torch.empty(rows, width, dtype=torch.int8)
        self.low = torch.empty(rows, width, dtype=torch.int8)
        self.steps = torch.empty(rows, width // GROUP)
        self.sums = torch.empty(rows, width // GROUP)
        parts = (self.rounded, self.high, self.low, self.steps, self.sums)
        self._struct = _InputsAt(*(part.data_ptr() for part in parts))
        self.at = ctypes.addressof(self._struct)


class PackedMatrix:
    """A matrix [outputs, width] of 4-bit or 8-bit levels, as the kernels read it."""

    def __init__(self, library: ctypes.CDLL, blocks: Blocks) -> None:
        self.outputs, self.width = blocks.levels.shape
        self.bits = blocks.bits
        cells = self.outputs // PANEL * (self.width // GROUP)
        self.packed = torch.empty(cells * (self.bits * 64 + 64), dtype=torch.uint8)
        self.at = self.packed.data_ptr()
        parts = [part.contiguous() for part in (blocks.levels, blocks.scale, blocks.minimum)]
        pointers = [part.data_ptr() for part in parts]
        library.pack_matrix(*pointers, self.at, self.width, self.outputs, self.bits)

    @staticmethod
    def fits(outputs: int, width: int) -> bool:
        """Whether the kernels can take a matrix of this shape."""
        return outputs % (2 * PANEL) == 0 and width % GROUP == 0


class Kernels:
    """Typed calls. Sizes are the caller's to get right: C checks nothing."""

    def __init__(self, library: ctypes.CDLL, threads: int) -> None:
        for name, signature in _SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = signature, None
        self.library = library
        self.tiles = library.use_tiles() == 0
        if library.start_workers(threads - 1):
            raise OSError(f"can't start {threads} threads")

    def matmul(
        self, matrix: PackedMatrix, x: Inputs, out: torch.Tensor, rows: int, *, add: bool = False
    ) -> None:
        """out[:rows] = x times the matrix, transposed; or += with `add`. float32."""
        self.library.packed_matmul(
            matrix.at, x.at, out.data_ptr(), rows, matrix.width, matrix.outputs, matrix.bits,
            add, self.tiles and rows >= TILE_ROWS,
        )  # fmt: skip

    def norm(
        self, x: torch.Tensor, weight: torch.Tensor, out: Inputs, rows: int, epsilon: float
    ) -> None:
        """The RMS norm of x [rows, width] float32."""
        self.library.rms_norm(x.data_ptr(), weight.data_ptr(), out.at, rows, out.width, epsilon)

    def silu_multiply(self, gate_up: torch.Tensor, out: Inputs, rows: int) -> None:
        """silu(gate) * up of [rows, gate and up] float32."""
        self.library.silu_multiply(gate_up.data_ptr(), out.at, rows, out.width)

    def attend(self, qkv: torch.Tensor, step: tuple[int, ...], out: Inputs, rows: int,
               layer: tuple[int, int], heads: tuple[int, int, int]) -> None:  # fmt: skip
        """Rotate and store the rows' keys and values, then attend.

        `step` holds the pointers to cosine, sine, positions, slots, blocks and starts; `layer`
        those to its keys and values; `heads` the counts of heads, key heads and head size.
        """
        self.library.attend(qkv.data_ptr(), *step, *layer, out.at, rows, *heads)
