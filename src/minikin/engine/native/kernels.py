"""The C kernels, called with arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence as Run

import numpy as np

from minikin.engine.native import contract
from minikin.engine.native.arrays import address, empty, from_bfloat16, optional, zeros
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
from minikin.engine.native.quantized import Blocks, Grouped, room_for
from minikin.model_file.gguf import GGMLType

WIDEST = 1 << 16
"""The maximum of inputs of a matrix: two unpacked panels must fit the stack of a thread."""

_SIGNATURES = {
    "pack_matrix": [POINTER] * 4 + [SIZE] * 3,
    "regroup": [POINTER] + [SIZE] * 4 + [POINTER] * 3,
    "pair_matrix": [POINTER] * 2 + [SIZE] * 2,
    "matrix_rows": [POINTER] * 2 + [SIZE, POINTER],
    "packed_matmul": [POINTER] * 3 + [SIZE] * 2,
    "choose_tokens": [POINTER] + [SIZE] * 2 + [POINTER] * 2,
    "rank_tokens": [POINTER] + [SIZE] * 2 + [POINTER] + [SIZE] + [POINTER] * 3,
    "write_rows": [POINTER] * 2 + [SIZE] * 2,
    "read_rows": [POINTER] + [SIZE] * 2 + [POINTER],
    "rms_norm": [POINTER] * 3 + [SIZE] * 2 + [FLOAT],
    "run_layers": [POINTER] * 2 + [SIZE] + [POINTER] * 3,
}


class Inputs:
    """Room for rows of inputs, each in one of the two forms that products read.

    The first `few` rows are 16-bit integers: a value is step * integer, with a step and a sum for
    each group of 32. The rest, where the kernels take tiles, are bfloat16 tiles of 16 rows by 32
    inputs. A row's form decides its kernel, so that its result does not depend on other rows.
    """

    def __init__(self, kernels: Kernels, rows: int, width: int) -> None:
        self.width = width
        self.groups = width // GROUP
        self._kernels = kernels
        full = -(-rows // (2 * TILE)) * 2 if kernels.tiles else 0
        self.tiles = zeros(full, self.groups, TILE, GROUP, dtype=np.uint16)
        self.integers = zeros(rows, width, dtype=np.int16)
        self.steps = zeros(rows, self.groups)
        self.sums = zeros(rows, self.groups)
        parts = (self.tiles, self.integers, self.steps, self.sums)
        self.struct = contract.Inputs(*map(address, parts), rows)
        self.at = ctypes.addressof(self.struct)

    def split(self, few: int) -> None:
        """Make the first `few` rows integers and the rest tiles, where the kernels have tiles."""
        self.struct.few = few if self._kernels.tiles else len(self.integers)

    def rows(self, count: int) -> np.ndarray:
        """The first `count` rows [count, width] as float32."""
        few = min(count, self.struct.few)
        exact = empty(few, self.width)
        self._kernels.library.read_rows(self.at, few, self.width, address(exact))
        tiled = self.tiles.swapaxes(1, 2).reshape(-1, self.width)[: count - few]
        return np.concatenate([exact, from_bfloat16(tiled)])


class PackedMatrix:
    """A matrix [outputs, width] of 4-bit or 8-bit levels or of bfloat16, as the kernels read it.

    With `gated`, the first half of its rows are gates and the second half are ups. They are stored
    in turn, a panel each, so that a kernel has both at once.
    """

    def __init__(
        self, kernels: Kernels, cells: np.ndarray, rows: int, width: int, bits: int, *, gated: bool
    ) -> None:
        """`cells` as the kernels read them, uint8 [`size`], at a multiple of ALIGNMENT."""
        self.shape = rows, width
        self.width = width
        self.outputs = _outputs(rows)
        """The rows, and rows of zeros up to the next number that the kernels support."""
        self.is_whole = rows == self.outputs
        """Whether there are no rows of zeros."""
        self.bits = bits
        self.gated = gated
        self._kernels = kernels
        self.cells = cells
        self._biases: list[np.ndarray] = []
        self.struct = self.with_bias(None)
        self.at = ctypes.addressof(self.struct)

    @classmethod
    def pack(
        cls, kernels: Kernels, matrix: Blocks | np.ndarray, *, gated: bool = False
    ) -> PackedMatrix:
        """`matrix` is quantized, or [outputs, width] bfloat16 as uint16."""
        quantized = isinstance(matrix, Blocks)
        parts = [matrix.levels, matrix.scale, matrix.minimum] if quantized else [matrix]
        parts = [_in_turn(part) if gated else np.ascontiguousarray(part) for part in parts]
        rows, width = parts[0].shape
        outputs, bits = _outputs(rows), matrix.bits if quantized else 16
        if rows != outputs:
            parts = [np.pad(part, ((0, outputs - rows), (0, 0))) for part in parts]
        cells = empty(cls.size(kernels, rows, width, bits), dtype=np.uint8)
        pointers = [address(part) for part in (*parts, cells)]
        if quantized:
            kernels.library.pack_matrix(*pointers, outputs, width, bits)
        else:
            kernels.library.pair_matrix(*pointers, outputs, width)
        return cls(kernels, cells, rows, width, bits, gated=gated)

    @staticmethod
    def size(kernels: Kernels, rows: int, width: int, bits: int) -> int:
        """The bytes of the cells of a matrix."""
        return kernels.library.matrix_bytes(_outputs(rows), width, bits)

    def with_bias(self, bias: np.ndarray | None) -> contract.Matrix:
        """The C struct for products plus `bias` [its rows] float32."""
        if bias is not None:
            bias = _in_turn(bias[:, None]).ravel() if self.gated else bias
            bias = np.pad(bias, (0, self.outputs - len(bias)))
            self._biases.append(bias)  # the struct points to it
        return contract.Matrix(
            address(self.cells), self.outputs, self.width, self.bits, optional(bias)
        )

    @staticmethod
    def fits(outputs: int, width: int, *, gated: bool = False) -> bool:
        """Whether the kernels support this shape."""
        return width % GROUP == 0 and width <= WIDEST and not (gated and outputs % (2 * PANEL))

    @property
    def bytes(self) -> int:
        """The bytes that a step reads."""
        return self.cells.size

    def rows(self, which: np.ndarray) -> np.ndarray:
        """[count, width] float32: the rows `which` [count] int64 of a matrix that isn't gated."""
        return self._kernels.matrix_rows(self, np.ascontiguousarray(which))

    def product(self, x: np.ndarray) -> np.ndarray:
        """x [rows, width] float32 times the matrix, transposed: [rows, its rows] float32."""
        rows = len(x)
        inputs, out = Inputs(self._kernels, rows, self.width), empty(rows, self.outputs)
        inputs.split(0 if rows >= MANY_ROWS else rows)
        self._kernels.write(np.ascontiguousarray(x), inputs)
        self._kernels.matmul(self, inputs, out, rows)
        return _halves(out) if self.gated else out[:, : self.shape[0]]


class Kernels:
    """Typed calls. The caller must pass the right sizes: C checks nothing.

    Raises ContractBroken if C and Python disagree on a constant or a struct.
    """

    def __init__(self, library: ctypes.CDLL, threads: int) -> None:
        for name, signature in _SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = signature, None
        library.regroup.restype = ctypes.c_int
        contract.compare(library)
        library.matrix_bytes.argtypes, library.matrix_bytes.restype = [SIZE] * 3, SIZE
        self.library = library
        library.instructions.restype = ctypes.c_char_p
        self.instructions: str = library.instructions().decode()
        """The instruction set: one of `variants.SETS`."""
        self.tiles = bool(library.takes_tiles())
        """Whether products of many rows take bfloat16 tiles."""
        if library.start_workers(threads - 1):
            raise OSError(f"can't start {threads} threads")

    def regroup(self, blocks: np.ndarray, kind: GGMLType) -> Grouped | None:
        """See `quantized.Regroup`."""
        levels, scale, minimum = grouped = room_for(len(blocks), kind)
        finite = self.library.regroup(
            address(blocks), len(blocks), kind.value, kind.block_bytes, kind.block_size,
            address(levels), address(scale), address(minimum),
        )  # fmt: skip
        return grouped if finite else None

    def matmul(
        self, matrix: PackedMatrix, x: Inputs, out: np.ndarray, rows: int, mode: int = STORE
    ) -> None:
        """out[:rows] [rows, outputs] float32 = x times the matrix, transposed; ADD: +=."""
        self.library.packed_matmul(matrix.at, x.at, address(out), rows, mode)

    def norm(
        self, x: np.ndarray, weight: np.ndarray, out: Inputs, rows: int, epsilon: float
    ) -> None:
        """The RMS norm of x [rows, width] float32."""
        self.library.rms_norm(address(x), address(weight), out.at, rows, out.width, epsilon)

    def write(self, x: np.ndarray, out: Inputs) -> None:
        """x [rows, width] float32 as inputs."""
        self.library.write_rows(address(x), out.at, len(x), out.width)

    def choose(self, logits: np.ndarray, draws: Run[Draw]) -> np.ndarray:
        """See `minikin.engine.logits.Logits`."""
        tokens = np.empty(len(logits), np.int64)
        structs = (contract.Draw * len(draws))(*(
            (*draw[:5], address(changed), address(amounts), len(changed))
            for draw in draws for changed, amounts in [draw.changes]
        ))  # fmt: skip
        self.library.choose_tokens(address(logits), *logits.shape, structs, address(tokens))
        return tokens

    def rank(self, logits: np.ndarray, tokens: Run[int], most: int) -> Ranks:
        """See `minikin.engine.logits.Logits`."""
        chosen = np.array(tokens, np.int64)
        rows, width = logits.shape
        ranks = Ranks(
            np.empty(rows), np.empty(rows, np.int64), np.empty((rows, min(most, width)), np.int64)
        )
        self.library.rank_tokens(
            address(logits), rows, width, address(chosen), ranks.best.shape[1],
            *map(address, ranks),
        )  # fmt: skip
        return ranks

    def matrix_rows(self, matrix: PackedMatrix, which: np.ndarray) -> np.ndarray:
        """[count, width] float32 of the matrix's rows `which` [count] int64."""
        out = empty(len(which), matrix.width)
        self.library.matrix_rows(matrix.at, address(which), len(which), address(out))
        return out


def _outputs(rows: int) -> int:
    return -(-rows // (2 * PANEL)) * 2 * PANEL


def _in_turn(rows: np.ndarray) -> np.ndarray:
    """[gates and ups, ...] -> a panel of gates, a panel of ups, and so on."""
    return rows.reshape(2, -1, PANEL, rows.shape[1]).swapaxes(0, 1).reshape(rows.shape)


def _halves(out: np.ndarray) -> np.ndarray:
    """[rows, panels in turn] -> [rows, gates and ups]."""
    return out.reshape(len(out), -1, 2, PANEL).swapaxes(1, 2).reshape(out.shape)
