"""Quantized matrices as levels, with a scale and a minimum for each group of levels."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Run
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from minikin.engine.native.contract import GROUP
from minikin.engine.native.levels import LEVEL_BITS
from minikin.machine import processors
from minikin.model_file.codebook_types import iq1_m_parts
from minikin.model_file.dequantize import LAYOUTS, q3_k_scales, runs, split
from minikin.model_file.gguf import GGMLType
from minikin.model_file.parts import Parts

LIMIT = 6e-3
"""Maximum change of a matrix relative to its norm. bfloat16 changes it by 1.7e-3."""
IN_C = frozenset({
    GGMLType.Q4_0, GGMLType.Q4_1, GGMLType.Q8_0, GGMLType.Q4_K, GGMLType.Q5_K, GGMLType.Q6_K,
})  # fmt: skip
"""The commonest types. `regroup.h` gives the same bits for them as `_regroup`."""
SAMPLE = 4096
"""The number of blocks, at equal distances in a tensor, whose change is measured."""

Grouped = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Levels uint8 [blocks, block_size], scales and minima float16 [blocks, block_size / GROUP]."""
Regroup = Callable[[np.ndarray, GGMLType], Grouped | None]
"""Regroups records of `LAYOUTS`. None if a scale or a minimum is not finite."""


def room_for(blocks: int, kind: GGMLType) -> Grouped:
    """Arrays without contents."""
    groups = blocks, kind.block_size // GROUP
    levels = np.empty((blocks, kind.block_size), np.uint8)
    return levels, np.empty(groups, np.float16), np.empty(groups, np.float16)


def regroup(blocks: np.ndarray, kind: GGMLType) -> Grouped | None:
    """See `Regroup`."""
    levels, scale, minimum = grouped = room_for(len(blocks), kind)

    def take(some: slice) -> None:
        levels[some], scale[some], minimum[some] = _regroup(blocks[some], kind)

    # NumPy releases the GIL, so loading takes half as long on two cores.
    with ThreadPoolExecutor(processors()) as pool:
        list(pool.map(take, runs(len(blocks), kind)))
    return grouped if np.isfinite(scale).all() and np.isfinite(minimum).all() else None


@dataclass(frozen=True)
class Blocks:
    """A quantized matrix, w = scale * level + minimum.

    Types with groups of 32 or more keep their levels: whole numbers, raised until they are
    positive. Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q3_K, IQ4_NL, TQ1_0, TQ2_0 and Q1_0 are exact. MXFP4 is
    exact if its scales fit float16. The scales and minima of the others are products, which are
    rounded to float16. Q6_K, Q2_K, IQ2_XS, IQ2_S and NVFP4 have groups of 16 and get new 8-bit
    levels in groups of 32. This changes Q6_K of a trained model by 4.9e-3 of its norm (its six bits
    change it by 1.7e-2). In Q3_K and IQ1_M, levels and factors of groups of 16 are multiplied.
    """

    levels: np.ndarray
    """[out, in] uint8."""
    scale: np.ndarray
    """[out, in / GROUP] float16."""
    minimum: np.ndarray
    """[out, in / GROUP] float16."""
    bits: int
    """4 or 8. Levels are below 2 ** bits."""

    @classmethod
    def stack(
        cls,
        matrices: Run[tuple[np.ndarray, GGMLType]],
        sample: int = SAMPLE,
        in_c: Regroup = regroup,
    ) -> Blocks | None:
        """Stack matrices of the same width, each as uint8 [out, bytes per row].

        The change of `sample` blocks of each is measured. `in_c` regroups the types in IN_C.

        4-bit levels are not changed beside 8-bit levels. None if one matrix is not quantized, or
        would change by more than LIMIT.
        """
        parts: list[Blocks] = []
        for rows, kind in matrices:
            if (part := cls._read(rows, kind, sample, in_c)) is None:
                return None
            parts.append(part)
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.levels for part in parts]),
            np.concatenate([part.scale for part in parts]),
            np.concatenate([part.minimum for part in parts]),
            max(part.bits for part in parts),
        )

    @classmethod
    def _read(cls, rows: np.ndarray, kind: GGMLType, sample: int, in_c: Regroup) -> Blocks | None:
        blocks = np.ascontiguousarray(rows).reshape(-1).view(LAYOUTS[kind])
        if kind not in LEVEL_BITS or not _is_faithful(blocks[:: len(blocks) // sample + 1], kind):
            return None
        grouped = (in_c if kind in IN_C else regroup)(blocks, kind)
        if grouped is None:
            return None  # outside the sample; float32 can represent it
        levels, scale, minimum = grouped
        return cls(
            levels.reshape(len(rows), -1),
            scale.reshape(len(rows), -1),
            minimum.reshape(len(rows), -1),
            LEVEL_BITS[kind],
        )


def _is_faithful(blocks: np.ndarray, kind: GGMLType) -> bool:
    levels, scale, minimum = _regroup(blocks, kind)
    kept = Parts(levels, scale.astype(np.float32), 0, minimum.astype(np.float32))
    with np.errstate(invalid="ignore", over="ignore"):
        exact = split(blocks, kind).values()
        change = np.linalg.norm(kept.values() - exact)
        return bool(change <= LIMIT * np.linalg.norm(exact))


def _regroup(blocks: np.ndarray, kind: GGMLType) -> Grouped:
    # A broken file can have infinite scales. The resulting matrix is rejected.
    with np.errstate(invalid="ignore", over="ignore"):
        if kind in _MULTIPLIED:
            return _MULTIPLIED[kind](blocks)
        parts = split(blocks, kind)
        if parts.scale.shape[1] * GROUP != kind.block_size:
            return _requantize(parts.values())
        # Zeros are powers of two, so this is exact if the scales fit float16.
        minimum = -parts.zero * parts.scale if parts.minimum is None else parts.minimum
        return parts.levels, parts.scale.astype(np.float16), minimum.astype(np.float16)


def _q3_k(blocks: np.ndarray) -> Grouped:
    """Q3_K: w = d s q with s from -32 to 31 and q from -4 to 3, so 128 - s q fits eight bits."""
    parts = split(blocks, GGMLType.Q3_K)
    grouped = parts.levels.reshape(len(blocks), 16, 16).astype(np.int16) - parts.zero
    levels = 128 - q3_k_scales(blocks)[..., None].astype(np.int16) * grouped
    scale = np.repeat(-blocks["d"][:, None], parts.levels.shape[1] // GROUP, axis=1)
    return levels.reshape(len(blocks), -1).astype(np.uint8), scale, -128 * scale


def _iq1_m(blocks: np.ndarray) -> Grouped:
    """IQ1_M: w = d / 8 * n with n odd and from -135 to 135, so (n + 135) / 2 fits eight bits."""
    d, factors, eighths = iq1_m_parts(blocks)
    levels = (eighths.reshape(len(blocks), 16, 16) * factors[..., None] + 135) >> 1
    scale, minimum = (
        np.repeat(part, 8, axis=1).astype(np.float16) for part in (d / 4, d * -16.875)
    )
    return levels.reshape(len(blocks), -1).astype(np.uint8), scale, minimum


_MULTIPLIED = {GGMLType.Q3_K: _q3_k, GGMLType.IQ1_M: _iq1_m}


def _requantize(values: np.ndarray) -> Grouped:
    """256 levels from the smallest to the largest value of each group."""
    groups = values.reshape(len(values), -1, GROUP)
    minimum = groups.min(axis=2).astype(np.float16)
    scale = ((groups.max(axis=2) - minimum.astype(np.float32)) / 255).astype(np.float16)
    step = np.where(scale > 0, scale, 1).astype(np.float32)
    levels = (groups - minimum.astype(np.float32)[..., None]) / step[..., None]
    # An infinite scale gives NaN, which has no level. `_read` rejects the matrix.
    levels = np.nan_to_num(np.rint(levels).clip(0, 255)).astype(np.uint8)
    return levels.reshape(values.shape), scale, minimum
