"""Turns packed GGUF tensor bytes into numbers, for every type in `GGMLType`.

The block layouts are those of ggml (ggml-common.h), each as a numpy record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from minikin.model_file import codebook_types
from minikin.model_file.gguf import GGMLType
from minikin.model_file.parts import Parts, column, fields

NUMBERS_AT_ONCE = 1 << 20
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
    step = NUMBERS_AT_ONCE // type.block_size
    return (slice(start, start + step) for start in range(0, blocks, step))


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
    GGMLType.TQ1_0: np.dtype([("q", "u1", 48), ("last", "u1", 4), ("d", "<f2")]),
    GGMLType.TQ2_0: np.dtype([("q", "u1", 64), ("d", "<f2")]),
    GGMLType.MXFP4: np.dtype([("e", "u1"), ("q", "u1", 16)]),
    GGMLType.NVFP4: np.dtype([("e", "u1", 4), ("q", "u1", 32)]),
    GGMLType.Q1_0: np.dtype([("d", "<f2"), ("q", "u1", 16)]),
} | codebook_types.LAYOUTS
"""One block of each type: `d` scale, `m` minimum, `q` low bits, `high` the bits above them.

In MXFP4, `e` is the exponent of the scale. In NVFP4, `e` is the scales themselves.
"""


def _bf16(blocks: np.ndarray) -> np.ndarray:
    return (blocks["x"].astype(np.uint32) << 16).view(np.float32)[:, None]


_PLAIN: dict[GGMLType, Callable[[np.ndarray], np.ndarray]] = {
    GGMLType.F32: lambda blocks: column(blocks["x"]),
    GGMLType.F16: lambda blocks: column(blocks["x"]),
    GGMLType.BF16: _bf16,
}


def _q4_0(blocks: np.ndarray) -> Parts:
    return Parts(fields(blocks["q"], 4, 16), column(blocks["d"]), 8)


def _q4_1(blocks: np.ndarray) -> Parts:
    return Parts(fields(blocks["q"], 4, 16), column(blocks["d"]), 0, column(blocks["m"]))


def _five_bits(blocks: np.ndarray, low_run: int, high_run: int) -> np.ndarray:
    return fields(blocks["q"], 4, low_run) | fields(blocks["high"], 1, high_run) << 4


def _q5_0(blocks: np.ndarray) -> Parts:
    return Parts(_five_bits(blocks, 16, 1), column(blocks["d"]), 16)


def _q5_1(blocks: np.ndarray) -> Parts:
    return Parts(_five_bits(blocks, 16, 1), column(blocks["d"]), 0, column(blocks["m"]))


def _q8_0(blocks: np.ndarray) -> Parts:
    return Parts(blocks["q"].view(np.uint8) ^ 128, column(blocks["d"]), 128)


def _q2_k(blocks: np.ndarray) -> Parts:
    scale = column(blocks["d"]) * (blocks["scales"] & 15)
    minimum = column(blocks["m"]) * (blocks["scales"] >> 4)
    return Parts(fields(blocks["q"], 2, 32), scale, 0, -minimum)


def q3_k_scales(blocks: np.ndarray) -> np.ndarray:
    """The integer factors of a Q3_K block's `d`, -32 to 31: int8 [n, 16]."""
    low, high = fields(blocks["scales"][:, :8], 4, 8), fields(blocks["scales"][:, 8:], 2, 4)
    return (low | high << 4).astype(np.int8) - np.int8(32)


def _q3_k(blocks: np.ndarray) -> Parts:
    levels = fields(blocks["q"], 2, 32) | fields(blocks["high"], 1, 32) << 2
    return Parts(levels, column(blocks["d"]) * q3_k_scales(blocks), 4)


def _scales_and_minima(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The eight scales and minima, 6 bits each in 12 bytes of Q4_K and Q5_K: float32 [n, 8]."""
    first, second, third = (blocks["scales"][:, i : i + 4] for i in (0, 4, 8))
    scales = np.hstack([first & 63, third & 15 | first >> 6 << 4])
    minima = np.hstack([second & 63, third >> 4 | second >> 6 << 4])
    return column(blocks["d"]) * scales, -column(blocks["m"]) * minima


def _q4_k(blocks: np.ndarray) -> Parts:
    scale, minimum = _scales_and_minima(blocks)
    return Parts(fields(blocks["q"], 4, 32), scale, 0, minimum)


def _q5_k(blocks: np.ndarray) -> Parts:
    scale, minimum = _scales_and_minima(blocks)
    return Parts(_five_bits(blocks, 32, 32), scale, 0, minimum)


def _q6_k(blocks: np.ndarray) -> Parts:
    levels = fields(blocks["q"], 4, 64) | fields(blocks["high"], 2, 32) << 4
    return Parts(levels, column(blocks["d"]) * blocks["scales"].astype(np.float32), 32)


_E2M1 = np.array([0, 1, 2, 3, 4, 6, 8, 12], dtype=np.uint8)
"""Twice the values of a 4-bit float (OCP Microscaling Formats 1.0). The fourth bit is the sign."""
_E2M1_LEVELS = np.concatenate([12 + _E2M1, 12 - _E2M1])


def _mxfp4(blocks: np.ndarray) -> Parts:
    # Half of 2 ** (e - 127), because the values are doubled.
    scale = np.ldexp(np.float32(1), blocks["e"].astype(np.int32) - 128)
    return Parts(_E2M1_LEVELS[fields(blocks["q"], 4, 16)], scale[:, None], 12)


def _e4m3() -> np.ndarray:
    byte = np.arange(128)
    exponent, mantissa = byte >> 3, byte & 7
    values = np.ldexp(mantissa + 8.0 * (exponent > 0), np.maximum(exponent, 1) - 10)
    return values.astype(np.float32)


E4M3 = _e4m3()
"""float32 [128]: the values of bytes of 4 exponent and 3 mantissa bits (OCP 8-bit floats).

The last one is not a number in both formats that use it.
"""


def _nvfp4(blocks: np.ndarray) -> Parts:
    scale = E4M3[blocks["e"] & 127] / 2  # because the values are doubled
    scale[blocks["e"] == 0x7F] = 0  # not a number
    return Parts(_E2M1_LEVELS[fields(blocks["q"], 4, 8)], scale, 12)


def _ternary(levels: np.ndarray, blocks: np.ndarray) -> Parts:
    return Parts(levels, np.repeat(column(blocks["d"]), 8, axis=1), 1)


def _base_three(packed: np.ndarray, digits: int) -> np.ndarray:
    """Split bytes [n, k] into numbers from 0 to 2, uint8 [n, k * digits], first digits first.

    A byte is the fraction 0.dd... in base 3, rounded up, in 256ths.
    """
    turned = packed[:, None] * np.array([1, 3, 9, 27, 81][:digits], dtype=np.uint8)[:, None]
    return (turned.astype(np.uint16) * 3 >> 8).astype(np.uint8).reshape(len(packed), -1)


def _tq1_0(blocks: np.ndarray) -> Parts:
    runs = (blocks["q"][:, :32], 5), (blocks["q"][:, 32:], 5), (blocks["last"], 4)
    return _ternary(np.hstack([_base_three(*run) for run in runs]), blocks)


def _tq2_0(blocks: np.ndarray) -> Parts:
    return _ternary(fields(blocks["q"], 2, 32), blocks)


def _q1_0(blocks: np.ndarray) -> Parts:
    # A bit is 1 or -1.
    levels = 2 * np.unpackbits(blocks["q"], axis=1, bitorder="little")
    return Parts(levels, np.repeat(column(blocks["d"]), 4, axis=1), 1)


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
    GGMLType.TQ1_0: _tq1_0,
    GGMLType.TQ2_0: _tq2_0,
    GGMLType.MXFP4: _mxfp4,
    GGMLType.NVFP4: _nvfp4,
    GGMLType.Q1_0: _q1_0,
} | codebook_types.SPLITTERS
