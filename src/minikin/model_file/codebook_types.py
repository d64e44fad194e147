"""The types IQ1 to IQ4: blocks of numbers that select values in a codebook."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minikin.model_file import codebooks
from minikin.model_file.gguf import GGMLType
from minikin.model_file.parts import Parts, column, fields

_D, _ZERO = ("d", "<f2"), 64
LAYOUTS = {
    GGMLType.IQ2_XXS: np.dtype([_D, ("q", [("index", "u1", 4), ("rest", "<u4")], 8)]),
    GGMLType.IQ2_XS: np.dtype([_D, ("q", "<u2", 32), ("scales", "u1", 8)]),
    GGMLType.IQ2_S: np.dtype(
        [_D, ("q", "u1", 32), ("signs", "u1", 32), ("high", "u1", 8), ("scales", "u1", 8)]
    ),
    GGMLType.IQ3_XXS: np.dtype([_D, ("q", "u1", 64), ("rest", "<u4", 8)]),
    GGMLType.IQ3_S: np.dtype(
        [_D, ("q", "u1", 64), ("high", "u1", 8), ("signs", "u1", 32), ("scales", "u1", 4)]
    ),
    GGMLType.IQ1_S: np.dtype([_D, ("q", "u1", 32), ("high", "<u2", 8)]),
    GGMLType.IQ1_M: np.dtype([("q", "u1", 32), ("high", "u1", 16), ("scales", "<u2", 4)]),
    GGMLType.IQ4_NL: np.dtype([_D, ("q", "u1", 16)]),
    GGMLType.IQ4_XS: np.dtype([_D, ("high", "<u2"), ("scales", "u1", 4), ("q", "u1", 128)]),
}
"""See `dequantize.LAYOUTS`. `rest` has the scale of 32 values, and four signs of 7 bits."""

_EVEN = np.array([i | i.bit_count() % 2 << 7 for i in range(128)], dtype=np.uint8)
"""The signs of 8 values. The eighth makes the number of minus signs even, so 7 bits are stored."""


def _shifted(numbers: np.ndarray, places: range, bits: int) -> np.ndarray:
    """The numbers of some bits at these places of each number [n, k]: [n, k * places]."""
    return (numbers[..., None] >> np.array(places, numbers.dtype) & (2**bits - 1)).reshape(
        len(numbers), -1
    )


def _signed(values: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """`_ZERO` plus or minus values. `signs` [n, k] has a bit for each: uint8 [n, 8 k]."""
    minus = np.unpackbits(signs, axis=1, bitorder="little")
    values = values.reshape(minus.shape)
    return np.where(minus, _ZERO - values, _ZERO + values)


def _nibbles(blocks: np.ndarray) -> np.ndarray:
    """The scales of groups, 4 bits each, as in the types with a half added: float32 [n, groups]."""
    return _shifted(blocks["scales"], range(0, 8, 4), 4).astype(np.float32) + np.float32(0.5)


def _seven_bits(rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The scales, float32 [n, 8], and the signs, uint8 [n, 32], in a field `rest`."""
    scales = (rest >> 28).astype(np.float32) + np.float32(0.5)
    return scales, _EVEN[_shifted(rest, range(0, 28, 7), 7)]


def _iq2_xxs(blocks: np.ndarray) -> Parts:
    scales, signs = _seven_bits(blocks["q"]["rest"])
    values = codebooks.IQ2_XXS[blocks["q"]["index"]]
    return Parts(_signed(values, signs), column(blocks["d"]) * scales / 4, _ZERO)


def _iq2_xs(blocks: np.ndarray) -> Parts:
    values, signs = codebooks.IQ2_XS[blocks["q"] & 511], _EVEN[blocks["q"] >> 9]
    return Parts(_signed(values, signs), column(blocks["d"]) * _nibbles(blocks) / 4, _ZERO)


def _iq2_s(blocks: np.ndarray) -> Parts:
    high = _shifted(blocks["high"], range(0, 8, 2), 2).astype(np.uint16)
    values = codebooks.IQ2_S[blocks["q"] | high << 8]
    levels = _signed(values, blocks["signs"])
    return Parts(levels, column(blocks["d"]) * _nibbles(blocks) / 4, _ZERO)


def _iq3_xxs(blocks: np.ndarray) -> Parts:
    scales, signs = _seven_bits(blocks["rest"])
    levels = _signed(codebooks.IQ3_XXS[blocks["q"]], signs)
    return Parts(levels, column(blocks["d"]) * scales / 2, _ZERO)


def _iq3_s(blocks: np.ndarray) -> Parts:
    high = np.unpackbits(blocks["high"], axis=1, bitorder="little").astype(np.uint16)
    levels = _signed(codebooks.IQ3_S[blocks["q"] | high << 8], blocks["signs"])
    return Parts(levels, column(blocks["d"]) * _nibbles(blocks) * 2, _ZERO)


def _iq1_s(blocks: np.ndarray) -> Parts:
    high = blocks["high"]
    index = blocks["q"] | _shifted(high, range(0, 12, 3), 3) << 8
    scale = column(blocks["d"]) * (2 * (high >> 12 & 7) + 1)
    # The values of a group are -1, 0 and 1, raised or lowered by an eighth.
    shift = np.where(high & 0x8000, np.float32(-1.125), np.float32(-0.875))
    return Parts(codebooks.IQ1[index].reshape(len(blocks), -1), scale, 0, scale * shift)


def iq1_m_parts(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values w = d / 8 * factor * number: `d` float32 [n, 1], factors [n, 16] and numbers [n, 256].

    Factors and numbers are int16. Both are odd, up to 15 and from -9 to 9.
    """
    scales = blocks["scales"]
    pieces = (scales >> 12).astype(np.uint16) << np.arange(0, 16, 4, dtype=np.uint16)
    d = column(pieces.sum(axis=1, dtype=np.uint16).view(np.float16))
    factors = 2 * _shifted(scales, range(0, 12, 3), 3).astype(np.int16) + 1
    high = _shifted(blocks["high"], range(0, 8, 4), 4).astype(np.uint16)
    values = codebooks.IQ1[blocks["q"] | (high & 7) << 8].astype(np.int16)
    # As in IQ1_S, but raised or lowered by an eighth for every 8 values.
    eighths = 8 * values - np.where(high & 8, 9, 7).astype(np.int16)[..., None]
    return d, factors, eighths.reshape(len(blocks), -1)


def _iq1_m(blocks: np.ndarray) -> Parts:
    d, factors, eighths = iq1_m_parts(blocks)
    return Parts((eighths + 16).astype(np.uint8), d / 8 * factors, 16)


_IQ4 = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113])
IQ4_LEVELS = (_IQ4 + 128).astype(np.uint8)
"""The 16 values of a 4-bit number, raised by 128."""


def _iq4_nl(blocks: np.ndarray) -> Parts:
    return Parts(IQ4_LEVELS[fields(blocks["q"], 4, 16)], column(blocks["d"]), 128)


def _iq4_xs(blocks: np.ndarray) -> Parts:
    low = _shifted(blocks["scales"], range(0, 8, 4), 4)
    high = _shifted(blocks["high"][:, None], range(0, 16, 2), 2)
    factors = (low | high << 4).astype(np.float32) - 32
    return Parts(IQ4_LEVELS[fields(blocks["q"], 4, 16)], column(blocks["d"]) * factors, 128)


SPLITTERS: dict[GGMLType, Callable[[np.ndarray], Parts]] = {
    GGMLType.IQ2_XXS: _iq2_xxs,
    GGMLType.IQ2_XS: _iq2_xs,
    GGMLType.IQ2_S: _iq2_s,
    GGMLType.IQ3_XXS: _iq3_xxs,
    GGMLType.IQ3_S: _iq3_s,
    GGMLType.IQ1_S: _iq1_s,
    GGMLType.IQ1_M: _iq1_m,
    GGMLType.IQ4_NL: _iq4_nl,
    GGMLType.IQ4_XS: _iq4_xs,
}
