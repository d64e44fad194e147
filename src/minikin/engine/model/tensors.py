"""Tensors from a model file. The shape of each is checked, and its use is recorded."""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Sequence as Run
from dataclasses import dataclass

import numpy as np

from minikin.errors import ModelFileError
from minikin.model_file.dequantize import dequantize
from minikin.model_file.gguf import GGMLType
from minikin.model_file.model_file import ModelFile


@dataclass(frozen=True)
class MatrixPart:
    """Some rows of the matrix `name`.weight, and of `name`.bias if there is one."""

    name: str
    rows: int
    start: int = 0
    whole: int | None = None
    """The total number of rows of the matrix. None: `rows`."""
    order: np.ndarray | None = None
    """The order of the rows. None: unchanged."""


Read = Callable[[], tuple[np.ndarray, GGMLType]]
"""Reads the packed bytes of a tensor whose shape is right, and says their type."""


class Tensors:
    """The tensors of a file. Methods raise ModelFileError for a missing tensor or wrong shape."""

    def __init__(self, file: ModelFile) -> None:
        self._file = file
        self._untaken = set(file.tensors)

    def __contains__(self, name: str) -> bool:
        return name in self._file.tensors

    def size(self, name: str) -> int:
        """The number of values of a tensor, or 0 if there is none."""
        return math.prod(self._file.tensors[name].shape) if name in self else 0

    def vector(self, name: str, size: int) -> np.ndarray:
        """[size] float32."""
        data, kind = self._take(name, (size,))()
        return dequantize(data, kind, (size,))

    def flat(self, name: str, size: int) -> np.ndarray:
        """[size] float32, from a tensor of any shape with so many numbers."""
        shape = self._file.tensors[name].shape if self.size(name) == size else (size,)
        data, kind = self._take(name, shape)()
        return dequantize(data, kind, shape).reshape(-1)

    def table(self, name: str, rows: int, width: int) -> np.ndarray:
        """[rows, width] float32."""
        data, kind = self._take(name, (rows, width))()
        return dequantize(data, kind, (rows, width))

    def rows(self, part: MatrixPart, width: int) -> Read:
        """A part's packed bytes, uint8 [rows, bytes per row]."""
        whole = part.whole or part.rows
        take = self._take(f"{part.name}.weight", (whole, width))

        def read() -> tuple[np.ndarray, GGMLType]:
            data, kind = take()
            rows = data.reshape(whole, -1)[part.start : part.start + part.rows]
            return (rows if part.order is None else rows[part.order]), kind

        return read

    def stack(self, part: MatrixPart, count: int, width: int) -> Read:
        """The packed bytes of `count` stacked matrices, uint8 [count, rows, bytes per row]."""
        take = self._take(f"{part.name}.weight", (count, part.rows, width))

        def read() -> tuple[np.ndarray, GGMLType]:
            data, kind = take()
            return data.reshape(count, part.rows, -1), kind

        return read

    def biases(self, part: MatrixPart, count: int) -> np.ndarray:
        """[count, rows] float32, from `count` stacked matrices."""
        shape = count, part.rows
        data, kind = self._take(f"{part.name}.bias", shape)()
        return dequantize(data, kind, shape)

    def bias(self, part: MatrixPart) -> np.ndarray:
        """[rows] float32."""
        bias = self.vector(f"{part.name}.bias", part.whole or part.rows)
        bias = bias[part.start : part.start + part.rows]
        return bias if part.order is None else bias[part.order]

    def columns(self, name: str, rows: int, width: int, count: int) -> Read:
        """`count` matrices that are side by side in `name`, as from `stack`.

        As float32 if blocks of the type are wider than `width` allows.
        """
        take = self._take(f"{name}.weight", (rows, count * width))

        def read() -> tuple[np.ndarray, GGMLType]:
            data, kind = take()
            if width % kind.block_size:
                data = dequantize(data, kind, (rows, count * width)).view(np.uint8)
                kind = GGMLType.F32
            return np.ascontiguousarray(data.reshape(rows, count, -1).swapaxes(0, 1)), kind

        return read

    def transposed(self, name: str, count: int, rows: int, width: int) -> Read:
        """`count` matrices that are transposed in `name`, as from `stack`, as float32."""
        shape = count, width, rows
        take = self._take(f"{name}.weight", shape)

        def read() -> tuple[np.ndarray, GGMLType]:
            matrices = dequantize(*take(), shape).swapaxes(1, 2)
            return np.ascontiguousarray(matrices).view(np.uint8), GGMLType.F32

        return read

    def check_all_taken(self, skipped: Run[str]) -> None:
        """Raise ModelFileError for an unused tensor, except those that begin as in `skipped`."""
        # RoPE factors belong to the architecture.
        known = ("rope_", *skipped)
        extra = sorted(name for name in self._untaken if not name.startswith(known))
        if extra:
            raise ModelFileError(
                f"The model file has {len(extra)} tensors that its family does not use, such as "
                f"{extra[0][:64]!a}."
            )

    def _take(self, name: str, shape: tuple[int, ...]) -> Read:
        info = self._file.tensors.get(name)
        if info is None or info.shape != shape:
            found = "is missing" if info is None else f"has the shape {info.shape}"
            raise ModelFileError(f"The tensor {name} must have the shape {shape}, but it {found}.")
        self._untaken.discard(name)
        kind = info.type
        return lambda: (self._file.data(name), kind)
