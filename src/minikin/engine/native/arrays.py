"""Arrays as the kernels need them: aligned, and with bfloat16, which NumPy does not have."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import DTypeLike

ALIGNMENT = 64
"""Bytes of a cache line and of the largest register. A load across two lines is slower."""


def empty(*shape: int, dtype: DTypeLike = np.float32) -> np.ndarray:
    """An array with unknown contents, at a multiple of ALIGNMENT."""
    return _aligned(np.empty(_bytes(shape, dtype), np.uint8), shape, dtype)


def zeros(*shape: int, dtype: DTypeLike = np.float32) -> np.ndarray:
    """An array of zeros, at a multiple of ALIGNMENT. It takes memory only where it is written."""
    return _aligned(np.zeros(_bytes(shape, dtype), np.uint8), shape, dtype)


def address(array: np.ndarray) -> int:
    """Where the first element is. The caller must keep the array."""
    return array.ctypes.data


def optional(array: np.ndarray | None) -> int | None:
    """Where the first element is, or NULL."""
    return None if array is None else address(array)


def _bytes(shape: tuple[int, ...], dtype: DTypeLike) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize + ALIGNMENT


def _aligned(memory: np.ndarray, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    start = -address(memory) % ALIGNMENT
    return memory[start : start + len(memory) - ALIGNMENT].view(dtype).reshape(shape)


def to_bfloat16(values: np.ndarray) -> np.ndarray:
    """float32 rounded to the nearest bfloat16, ties to even: uint16 of the same shape."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    rounded[np.isnan(values)] = 0x7FC0  # rounding could carry it to infinity or zero
    return rounded


def from_bfloat16(values: np.ndarray) -> np.ndarray:
    """uint16 -> float32 of the same shape."""
    return (values.astype(np.uint32) << 16).view(np.float32)
