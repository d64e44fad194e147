"""Turns packed GGUF tensor bytes into numbers, for every type in `GGMLType`.

The block layouts are those of ggml (ggml-common.h), each as a numpy record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from minikin.model_file.gguf import GGMLType

_NUMBERS_AT_ONCE = 1 << 20
"""A run's temporaries fit the CPU cache. For a whole table they need several times its size."""


def dequantize(data: np.ndarray, type: GGMLType, shape: tuple[int, ...]) -> np.ndarray:
    """Unpack the bytes of one tensor.

    `data` is uint8 [nbytes] as `GGUFFile.data` gives it, `shape` outermost first. Returns a new
    float32 array of that shape. Raises ValueError if the length of `data` does not match `shape`.
    """
    blocks = data.view(LAYOUTS[type])
    out = np.empty((len(blocks), type.block_size), dtype=np.float32)
    values = _PLAIN.get(type) or (lambda some: split(some, type).values())
    # A broken file can have infinite scales. Then inf * 0 is NaN, which must not warn.
    with np.errstate(invalid="ignore", over="ignore"):
        for some in runs(len(blocks), type):
            out[some] = values(blocks[some])
    return out.reshape(shape)


def runs(blocks: int, type: GGMLType) -> Iterator[slice]:
    """Divide a count of blocks into runs that are processed one by one."""
    step = _NUMBERS_AT_ONCE // type.block_size
    return (slice(start, start + step) for start in range(0, blocks, step))


class Parts(NamedTuple):
    """Blocks of a quantized type: w = scale * (level - zero) + minimum."""

    levels: np.ndarray
    """uint8 [blocks, block_size]."""
    scale: np.ndarray
    """float32 [blocks, groups]. A group is an equal part of a block: 32 or 16 levels."""
    zero: int = 0
    minimum: np.ndarray | None = None
    """The same shape as `scale`. None means 0."""

    def values(self) -> np.ndarray:
        """float32 [blocks, block_size]."""
        values = self.levels.reshape(*self.scale.shape, -1).astype(np.float32)
        values -= self.zero
        values *= self.scale[..., None]
        if self.minimum is not None:
            values += self.minimum[..., None]
        return values.reshape(self.levels.shape)


def split(blocks: np.ndarray, type: GGMLType) -> Parts:
    """Split records of `LAYOUTS[type]` into parts. Raises KeyError for F32, F16 and BF16."""
    return _SPLITTERS[type](blocks)


LAYOUTS = {
    GGMLType.F32: np.dtype([("x", "<f4")]),
    GGMLType.F16: np.dtype([("x", "<f2")]),
    GGMLType.BF16: np.dtype([("x", "<u2")]),
    GGMLType.Q4_0: np.dtype([("d", "<f2"), ("q", "u1", 16)]),
    GGMLType.Q4_1: np.dtype([("d", "<f2"), ("m", "<f2"), ("q", "u1", 16)]),
    GGMLType.Q5_0: np.dtype([("d", "<f2"), ("high", "u1", 4), ("q", "u1", 16)]),
    GGMLType.Q5_1: np.dtype([("d", "<f2"), ("m", "<f2"), ("high", "u1", 4), ("q", "u1", 16)]),
    GGMLType.Q8_0: np.dtype([("d", "<f2"), ("q", "i1", 32)]),
    GGMLType.Q2_K: np.dtype([("scales", "u1", 16), ("q", "u1", 64), ("d", "<f2"), ("m", "<f2")]),
    GGMLType.Q3_K: np.dtype(
        [("high", "u1", 32), ("q", "u1", 64), ("scales", "u1", 12), ("d", "<f2")]
    ),
    GGMLType.Q4_K: np.dtype([("d", "<f2"), ("m", "<f2"), ("scales", "u1", 12), ("q", "u1", 128)]),
    GGMLType.Q5_K: np.dtype(
        [("d", "<f2"), ("m", "<f2"), ("scales", "u1", 12), ("high", "u1", 32), ("q", "u1", 128)]
    ),
    GGMLType.Q6_K: np.dtype(
        [("q", "u1", 128), ("high", "u1", 64), ("scales", "i1", 16), ("d", "<f2")]
    ),
    GGMLType.MXFP4: np.dtype([("e", "u1"), ("q", "u1", 16)]),
}
"""One block of each type: `d` scale, `m` minimum, `q` low bits, `high` the bits above them.

In MXFP4, `e` is the exponent of the scale.
"""


def _fields(packed: np.ndarray, width: int, run: int) -> np.ndarray:
    """Split bytes [n, k] into numbers of `width` bits, uint8 [n, k * 8 / width].

    In each run of `run` bytes, the lowest numbers of all bytes come first, then the next ones.
    """
    rows = np.ascontiguousarray(packed).reshape(-1, run)
    places = range(8 // width)
    fields = np.empty((len(rows), len(places), run), dtype=np.uint8)
    for place in places:
        fields[:, place] = rows >> np.uint8(place * width) & np.uint8(2**width - 1)
    return fields.reshape(len(packed), -1)


def _column(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)[:, None]


def _bf16(blocks: np.ndarray) -> np.ndarray:
    return (blocks["x"].astype(np.uint32) << 16).view(np.float32)[:, None]


_PLAIN: dict[GGMLType, Callable[[np.ndarray], np.ndarray]] = {
    GGMLType.F32: lambda blocks: _column(blocks["x"]),
    GGMLType.F16: lambda blocks: _column(blocks["x"]),
    GGMLType.BF16: _bf16,
}


def _q4_0(blocks: np.ndarray) -> Parts:
    return Parts(_fields(blocks["q"], 4, 16), _column(blocks["d"]), 8)


def _q4_1(blocks: np.ndarray) -> Parts:
    return Parts(_fields(blocks["q"], 4, 16), _column(blocks["d"]), 0, _column(blocks["m"]))


def _five_bits(blocks: np.ndarray, low_run: int, high_run: int) -> np.ndarray:
    return _fields(blocks["q"], 4, low_run) | _fields(blocks["high"], 1, high_run) << 4


def _q5_0(blocks: np.ndarray) -> Parts:
    return Parts(_five_bits(blocks, 16, 1), _column(blocks["d"]), 16)


def _q5_1(blocks: np.ndarray) -> Parts:
    return Parts(_five_bits(blocks, 16, 1), _column(blocks["d"]), 0, _column(blocks["m"]))


def _q8_0(blocks: np.ndarray) -> Parts:
    return Parts(blocks["q"].view(np.uint8) ^ 128, _column(blocks["d"]), 128)


def _q2_k(blocks: np.ndarray) -> Parts:
    scale = _column(blocks["d"]) * (blocks["scales"] & 15)
    minimum = _column(blocks["m"]) * (blocks["scales"] >> 4)
    return Parts(_fields(blocks["q"], 2, 32), scale, 0, -minimum)


def q3_k_scales(blocks: np.ndarray) -> np.ndarray:
    """The integer factors of a Q3_K block's `d`, -32 to 31: int8 [n, 16]."""
    low, high = _fields(blocks["scales"][:, :8], 4, 8), _fields(blocks["scales"][:, 8:], 2, 4)
    return (low | high << 4).astype(np.int8) - np.int8(32)


def _q3_k(blocks: np.ndarray) -> Parts:
    levels = _fields(blocks["q"], 2, 32) | _fields(blocks["high"], 1, 32) << 2
    return Parts(levels, _column(blocks["d"]) * q3_k_scales(blocks), 4)


def _scales_and_minima(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The eight scales and minima, 6 bits each in 12 bytes of Q4_K and Q5_K: float32 [n, 8]."""
    first, second, third = (blocks["scales"][:, i : i + 4] for i in (0, 4, 8))
    scales = np.hstack([first & 63, third & 15 | first >> 6 << 4])
    minima = np.hstack([second & 63, third >> 4 | second >> 6 << 4])
    return _column(blocks["d"]) * scales, -_column(blocks["m"]) * minima


def _q4_k(blocks: np.ndarray) -> Parts:
    scale, minimum = _scales_and_minima(blocks)
    return Parts(_fields(blocks["q"], 4, 32), scale, 0, minimum)


def _q5_k(blocks: np.ndarray) -> Parts:
    scale, minimum = _scales_and_minima(blocks)
    return Parts(_five_bits(blocks, 32, 32), scale, 0, minimum)


def _q6_k(blocks: np.ndarray) -> Parts:
    levels = _fields(blocks["q"], 4, 64) | _fields(blocks["high"], 2, 32) << 4
    return Parts(levels, _column(blocks["d"]) * blocks["scales"].astype(np.float32), 32)


_E2M1 = np.array([0, 1, 2, 3, 4, 6, 8, 12], dtype=np.uint8)
"""Twice the values of a 4-bit float (OCP Microscaling Formats 1.0). The fourth bit is the sign."""
_MXFP4_LEVELS = np.concatenate([12 + _E2M1, 12 - _E2M1])


def _mxfp4(blocks: np.ndarray) -> Parts:
    # Half of 2 ** (e - 127), because the values are doubled.
    scale = np.ldexp(np.float32(1), blocks["e"].astype(np.int32) - 128)
    return Parts(_MXFP4_LEVELS[_fields(blocks["q"], 4, 16)], scale[:, None], 12)


_SPLITTERS: dict[GGMLType, Callable[[np.ndarray], Parts]] = {
    GGMLType.Q4_0: _q4_0,
    GGMLType.Q4_1: _q4_1,
    GGMLType.Q5_0: _q5_0,
    GGMLType.Q5_1: _q5_1,
    GGMLType.Q8_0: _q8_0,
    GGMLType.Q2_K: _q2_k,
    GGMLType.Q3_K: _q3_k,
    GGMLType.Q4_K: _q4_k,
    GGMLType.Q5_K: _q5_k,
    GGMLType.Q6_K: _q6_k,
    GGMLType.MXFP4: _mxfp4,
}
