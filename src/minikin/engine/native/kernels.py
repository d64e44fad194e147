"""The C kernels, called with tensors."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence as Run

import torch

from minikin.engine.native import contract
from minikin.engine.native.contract import (
    FLOAT,
    GROUP,
    MANY_ROWS,
    PANEL,
    POINTER,
    SIZE,
    STORE,
    TILE,
)
from minikin.engine.native.draw import Draw, Ranks
from minikin.engine.native.quantized import Blocks

WIDEST = 1 << 16
"""The maximum of inputs of a matrix: two unpacked panels must fit the stack of a thread."""

_SIGNATURES = {
    "pack_matrix": [POINTER] * 4 + [SIZE] * 3,
    "pair_matrix": [POINTER] * 2 + [SIZE] * 2,
    "matrix_rows": [POINTER] * 2 + [SIZE, POINTER],
    "packed_matmul": [POINTER] * 3 + [SIZE] * 2,
    "choose_tokens": [POINTER] + [SIZE] * 2 + [POINTER] * 2,
    "rank_tokens": [POINTER] + [SIZE] * 2 + [POINTER] + [SIZE] + [POINTER] * 3,
    "write_rows": [POINTER] * 2 + [SIZE] * 2,
    "rms_norm": [POINTER] * 3 + [SIZE] * 2 + [FLOAT],
    "run_layers": [POINTER] * 2 + [SIZE] + [POINTER] * 3,
}


class Inputs:
    """Room for rows of inputs, each in one of the two forms that products read.

    The first `few` rows are 16-bit integers: a value is step * integer, with a step and a sum for
    each group of 32. The rest, on AVX-512 and AMX, are bfloat16 tiles of 16 rows by 32 inputs. A
    row's form decides its kernel, so that its result does not depend on other rows.
    """

    def __init__(self, kernels: Kernels, rows: int, width: int) -> None:
        self.width = width
        self.groups = width // GROUP
        self._kernels = kernels
        full = -(-rows // (2 * TILE)) * 2 if kernels.tiles else 0
        self.tiles = torch.zeros(full, self.groups, TILE, GROUP, dtype=torch.bfloat16)
        self.integers = torch.zeros(rows, width, dtype=torch.int16)
        self.steps = torch.zeros(rows, self.groups)
        self.sums = torch.zeros(rows, self.groups)
        parts = (self.tiles, self.integers, self.steps, self.sums)
        self.struct = contract.Inputs(*(part.data_ptr() for part in parts), rows)
        self.at = ctypes.addressof(self.struct)

    def split(self, few: int) -> None:
        """Make the first `few` rows integers and the rest tiles, where the kernels have tiles."""
        self.struct.few = few if self._kernels.tiles else len(self.integers)

    def rows(self, count: int) -> torch.Tensor:
        """The first `count` rows [count, width] as float32."""
        few = min(count, self.struct.few)
        whole = self.integers[:few].float()
        if self._kernels.tiles:  # High bytes, then low bytes.
            high, low = self.integers[:few].view(torch.int8).float().chunk(2, dim=1)
            whole = 256 * high + low
        exact = (whole.view(few, self.groups, GROUP) * self.steps[:few, :, None]).flatten(1)
        tiled = self.tiles.transpose(1, 2).reshape(-1, self.width)[: count - few].float()
        return torch.cat([exact, tiled])


class PackedMatrix:
    """A matrix [outputs, width] of 4-bit or 8-bit levels or of bfloat16, as the kernels read it.

    With `gated`, the first half of its rows are gates and the second half are ups. They are stored
    in turn, a panel each, so that a kernel has both at once.
    """

    def __init__(
        self, kernels: Kernels, matrix: Blocks | torch.Tensor, *, gated: bool = False
    ) -> None:
        """`matrix` is quantized, or [outputs, width] bfloat16."""
        quantized = isinstance(matrix, Blocks)
        parts = [matrix.levels, matrix.scale, matrix.minimum] if quantized else [matrix]
        parts = [_in_turn(part) if gated else part.contiguous() for part in parts]
        self.outputs, self.width = parts[0].shape
        self.bits = matrix.bits if quantized else 16
        self.gated = gated
        self._kernels = kernels
        size = kernels.library.matrix_bytes(self.outputs, self.width, self.bits)
        self._cells = torch.empty(size, dtype=torch.uint8)
        self._biases: list[torch.Tensor] = []
        self.struct = self.with_bias(None)
        self.at = ctypes.addressof(self.struct)
        pointers = [part.data_ptr() for part in (*parts, self._cells)]
        if quantized:
            kernels.library.pack_matrix(*pointers, self.outputs, self.width, self.bits)
        else:
            kernels.library.pair_matrix(*pointers, self.outputs, self.width)

    def with_bias(self, bias: torch.Tensor | None) -> contract.Matrix:
        """The C struct for products plus `bias` [outputs] float32."""
        if bias is not None:
            bias = _in_turn(bias[:, None]).flatten() if self.gated else bias.contiguous()
            self._biases.append(bias)  # the struct points to it
        return contract.Matrix(
            self._cells.data_ptr(), self.outputs, self.width, self.bits,
            None if bias is None else bias.data_ptr(),
        )  # fmt: skip

    @staticmethod
    def fits(outputs: int, width: int) -> bool:
        """Whether the kernels support this shape."""
        return outputs % (2 * PANEL) == 0 and width % GROUP == 0 and width <= WIDEST

    @property
    def bytes(self) -> int:
        """The bytes that a step reads."""
        return self._cells.numel()

    def rows(self, which: torch.Tensor) -> torch.Tensor:
        """[count, width] float32: the rows `which` [count] int64 of a matrix that isn't gated."""
        return self._kernels.matrix_rows(self, which.contiguous())

    def product(self, x: torch.Tensor) -> torch.Tensor:
        """x [rows, width] times the matrix, transposed: [rows, outputs] float32."""
        rows = len(x)
        inputs, out = Inputs(self._kernels, rows, self.width), torch.empty(rows, self.outputs)
        inputs.split(0 if rows >= MANY_ROWS else rows)
        self._kernels.write(x.float().contiguous(), inputs)
        self._kernels.matmul(self, inputs, out, rows)
        return _halves(out) if self.gated else out


class Kernels:
    """Typed calls. The caller must pass the right sizes: C checks nothing.

    Raises ContractBroken if C and Python disagree on a constant or a struct.
    """

    def __init__(self, library: ctypes.CDLL, threads: int) -> None:
        for name, signature in _SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = signature, None
        contract.compare(library)
        library.matrix_bytes.argtypes, library.matrix_bytes.restype = [SIZE] * 3, SIZE
        self.library = library
        library.instructions.restype = ctypes.c_char_p
        self.instructions: str = library.instructions().decode()
        """The instruction set: one of `build.SETS`."""
        self.tiles = bool(library.takes_tiles())
        """Whether products of many rows take bfloat16 tiles."""
        if library.start_workers(threads - 1):
            raise OSError(f"can't start {threads} threads")

    def matmul(
        self, matrix: PackedMatrix, x: Inputs, out: torch.Tensor, rows: int, mode: int = STORE
    ) -> None:
        """out[:rows] [rows, outputs] float32 = x times the matrix, transposed; ADD: +=."""
        self.library.packed_matmul(matrix.at, x.at, out.data_ptr(), rows, mode)

    def norm(
        self, x: torch.Tensor, weight: torch.Tensor, out: Inputs, rows: int, epsilon: float
    ) -> None:
        """The RMS norm of x [rows, width] float32."""
        self.library.rms_norm(x.data_ptr(), weight.data_ptr(), out.at, rows, out.width, epsilon)

    def write(self, x: torch.Tensor, out: Inputs) -> None:
        """x [rows, width] float32 as inputs."""
        self.library.write_rows(x.data_ptr(), out.at, len(x), out.width)

    def choose(self, logits: torch.Tensor, draws: Run[Draw]) -> torch.Tensor:
        """See `minikin.engine.model.choose.Chooser`."""
        logits = logits.contiguous()
        tokens = torch.empty(len(logits), dtype=torch.int64)
        structs = (contract.Draw * len(draws))(*(
            (*draw[:5], changed.ctypes.data, amounts.ctypes.data, len(changed))
            for draw in draws for changed, amounts in [draw.changes]
        ))  # fmt: skip
        self.library.choose_tokens(logits.data_ptr(), *logits.shape, structs, tokens.data_ptr())
        return tokens

    def rank(self, logits: torch.Tensor, tokens: Run[int], most: int) -> Ranks:
        """See `minikin.engine.model.choose.Chooser`."""
        logits, chosen = logits.contiguous(), torch.tensor(tokens)
        rows, width = logits.shape
        ranks = Ranks(
            torch.empty(rows, dtype=torch.float64),
            torch.empty(rows, dtype=torch.int64),
            torch.empty(rows, min(most, width), dtype=torch.int64),
        )
        self.library.rank_tokens(
            logits.data_ptr(), rows, width, chosen.data_ptr(), ranks.best.shape[1],
            *(part.data_ptr() for part in ranks),
        )  # fmt: skip
        return ranks

    def matrix_rows(self, matrix: PackedMatrix, which: torch.Tensor) -> torch.Tensor:
        """[count, width] float32 of the matrix's rows `which` [count] int64."""
        out = torch.empty(len(which), matrix.width)
        self.library.matrix_rows(matrix.at, which.data_ptr(), len(which), out.data_ptr())
        return out


def _in_turn(rows: torch.Tensor) -> torch.Tensor:
    """[gates and ups, ...] -> a panel of gates, a panel of ups, and so on."""
    return rows.view(2, -1, PANEL, rows.shape[1]).transpose(0, 1).reshape(rows.shape)


def _halves(out: torch.Tensor) -> torch.Tensor:
    """[rows, panels in turn] -> [rows, gates and ups]."""
    return out.view(len(out), -1, 2, PANEL).transpose(1, 2).reshape(out.shape)
