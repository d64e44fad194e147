"""Packed GGUF tensor bytes to float32, for every type in `GGMLType`.

The block layouts are those of ggml (ggml-common.h), each stated here as a numpy record.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minikin.engine.gguf import GGMLType

_BLOCKS_AT_ONCE = 65_536
"""Bounds the temporaries; a whole embedding table would need several times its size."""


def dequantize(data: np.ndarray, type: GGMLType, shape: tuple[int, ...]) -> np.ndarray:
    """Unpack the bytes of one tensor.

    `data` is uint8 [nbytes] as `GGUFFile.data` gives it, `shape` outermost first. Returns a new
    float32 array of that shape. ValueError if `data` is not of the length that `shape` asks for.
    """
    blocks = data.view(LAYOUTS[type])
    out = np.empty((len(blocks), type.block_size), dtype=np.float32)
    unpack = _UNPACKERS[type]
    # A broken file may hold infinite scales; inf * 0 is NaN, and no reason for a warning.
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, len(blocks), _BLOCKS_AT_ONCE):
            some = slice(start, start + _BLOCKS_AT_ONCE)
            out[some] = unpack(blocks[some])
    return out.reshape(shape)


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
}
"""One block of each type: `d` scale, `m` minimum, `q` low bits, `high` the bits above them."""


def _fields(packed: np.ndarray, width: int, run: int) -> np.ndarray:
    """Split bytes [n, k] into numbers of `width` bits, uint8 [n, k * 8 / width].

    In each run of `run` bytes, the lowest numbers of all its bytes come first, then the next.
    """
    shifts = np.arange(0, 8, width, dtype=np.uint8)[:, None]
    runs = packed.reshape(len(packed), -1, 1, run)
    return ((runs >> shifts) & np.uint8(2**width - 1)).reshape(len(packed), -1)


def _column(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)[:, None]


def _plain(blocks: np.ndarray) -> np.ndarray:
    return _column(blocks["x"])


def _bf16(blocks: np.ndarray) -> np.ndarray:
    return (blocks["x"].astype(np.uint32) << 16).view(np.float32)[:, None]


def _q4_0(blocks: np.ndarray) -> np.ndarray:
    return _column(blocks["d"]) * (_fields(blocks["q"], 4, 16).astype(np.float32) - 8)


def _q4_1(blocks: np.ndarray) -> np.ndarray:
    return _column(blocks["d"]) * _fields(blocks["q"], 4, 16) + _column(blocks["m"])


def _five_bits(blocks: np.ndarray, low_run: int, high_run: int) -> np.ndarray:
    low, high = _fields(blocks["q"], 4, low_run), _fields(blocks["high"], 1, high_run)
    return (low | high << 4).astype(np.float32)


def _q5_0(blocks: np.ndarray) -> np.ndarray:
    return _column(blocks["d"]) * (_five_bits(blocks, 16, 1) - 16)


def _q5_1(blocks: np.ndarray) -> np.ndarray:
    return _column(blocks["d"]) * _five_bits(blocks, 16, 1) + _column(blocks["m"])


def _q8_0(blocks: np.ndarray) -> np.ndarray:
    return _column(blocks["d"]) * blocks["q"].astype(np.float32)


def _scaled(
    scale: np.ndarray, numbers: np.ndarray, minimum: np.ndarray | None = None
) -> np.ndarray:
    """`numbers` [n, 256], each of [n, groups] scales (less minima) for an even share of them."""
    groups = numbers.reshape(*scale.shape, -1).astype(np.float32)
    values = scale[..., None] * groups
    if minimum is not None:
        values -= minimum[..., None]
    return values.reshape(numbers.shape)


def _q2_k(blocks: np.ndarray) -> np.ndarray:
    scale = _column(blocks["d"]) * (blocks["scales"] & 15)
    minimum = _column(blocks["m"]) * (blocks["scales"] >> 4)
    return _scaled(scale, _fields(blocks["q"], 2, 32), minimum)


def _q3_k(blocks: np.ndarray) -> np.ndarray:
    low, high = _fields(blocks["scales"][:, :8], 4, 8), _fields(blocks["scales"][:, 8:], 2, 4)
    scale = _column(blocks["d"]) * ((low | high << 4).astype(np.float32) - 32)
    numbers = _fields(blocks["q"], 2, 32) | _fields(blocks["high"], 1, 32) << 2
    return _scaled(scale, numbers.astype(np.int8) - np.int8(4))


def _scales_and_minima(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The eight 6-bit scales and minima that Q4_K and Q5_K pack in 12 bytes, float32 [n, 8]."""
    first, second, third = (blocks["scales"][:, i : i + 4] for i in (0, 4, 8))
    scales = np.hstack([first & 63, third & 15 | first >> 6 << 4])
    minima = np.hstack([second & 63, third >> 4 | second >> 6 << 4])
    return _column(blocks["d"]) * scales, _column(blocks["m"]) * minima


def _q4_k(blocks: np.ndarray) -> np.ndarray:
    scale, minimum = _scales_and_minima(blocks)
    return _scaled(scale, _fields(blocks["q"], 4, 32), minimum)


def _q5_k(blocks: np.ndarray) -> np.ndarray:
    scale, minimum = _scales_and_minima(blocks)
    return _scaled(scale, _five_bits(blocks, 32, 32), minimum)


def _q6_k(blocks: np.ndarray) -> np.ndarray:
    numbers = _fields(blocks["q"], 4, 64) | _fields(blocks["high"], 2, 32) << 4
    scale = _column(blocks["d"]) * blocks["scales"].astype(np.float32)
    return _scaled(scale, numbers.astype(np.int8) - np.int8(32))


_UNPACKERS: dict[GGMLType, Callable[[np.ndarray], np.ndarray]] = {
    GGMLType.F32: _plain,
    GGMLType.F16: _plain,
    GGMLType.BF16: _bf16,
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
}
"""Records [n] of a type's layout -> float32 [n, block_size]."""
