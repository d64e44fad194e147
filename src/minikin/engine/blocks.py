"""Quantized matrices taken apart: levels, and for each group of them a scale and a minimum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from minikin.engine.gguf import GGMLType

GROUP = 32
"""Weights that share a scale."""


@dataclass(frozen=True)
class Blocks:
    """A Q4_0, Q4_1 or Q8_0 matrix, w = scale * level + minimum, without requantizing."""

    levels: torch.Tensor
    """[out, in] uint8."""
    scale: torch.Tensor
    """[out, in / GROUP] half."""
    minimum: torch.Tensor
    """[out, in / GROUP] half."""
    bits: int
    """4 or 8: levels are below 2 ** bits."""

    @staticmethod
    def can_read(kind: GGMLType) -> bool:
        """Whether `read` knows the type."""
        return kind in _READERS

    @classmethod
    def read(cls, data: np.ndarray, kind: GGMLType, shape: tuple[int, int]) -> Blocks:
        """From the file's bytes; each block starts with its scale d in half precision."""
        blocks = torch.from_numpy(data.copy()).view(-1, kind.block_bytes)
        levels, scale, minimum, bits = _READERS[kind](blocks)
        groups = shape[0], shape[1] // GROUP
        return cls(levels.view(shape), scale.view(groups), minimum.view(groups), bits)


_Parts = tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]


def _half(blocks: torch.Tensor, start: int) -> torch.Tensor:
    return blocks[:, start : start + 2].contiguous().view(torch.float16)


def _nibbles(packed: torch.Tensor) -> torch.Tensor:
    """Byte i holds level i in its low half and level i + 16 in its high half."""
    return torch.cat([packed & 15, packed >> 4], dim=1)


def _q4_0(blocks: torch.Tensor) -> _Parts:
    """w = d (q - 8). -8 d is exact: eight is a power of two."""
    scale = _half(blocks, 0)
    return _nibbles(blocks[:, 2:]), scale, -8 * scale, 4


def _q4_1(blocks: torch.Tensor) -> _Parts:
    """w = d q + m, with m after d."""
    return _nibbles(blocks[:, 4:]), _half(blocks, 0), _half(blocks, 2), 4


def _q8_0(blocks: torch.Tensor) -> _Parts:
    """w = d q with q from -128 to 127, here d (q + 128) - 128 d."""
    scale = _half(blocks, 0)
    return blocks[:, 2:] ^ 128, scale, -128 * scale, 8


_READERS = {GGMLType.Q4_0: _q4_0, GGMLType.Q4_1: _q4_1, GGMLType.Q8_0: _q8_0}
