"""Arrays of a step, moved to a device together."""

from __future__ import annotations

import numpy as np
import torch

_ALIGNED = 16
"""Bytes between the starts of two arrays: as much as the widest load of a GPU."""


def upload(device: torch.device, *arrays: np.ndarray) -> list[torch.Tensor]:
    """The arrays as tensors on `device`, in one copy that this thread does not wait for.

    PyTorch reuses the memory that the copy reads only after the copy, because it is pinned.
    """
    if device.type == "cpu":
        return [torch.from_numpy(array) for array in arrays]
    starts = np.cumsum([0, *(-(-array.nbytes // _ALIGNED) * _ALIGNED for array in arrays)])
    staged = torch.empty(int(starts[-1]), dtype=torch.uint8, pin_memory=device.type == "cuda")
    there = torch.empty_like(staged, device=device, pin_memory=False)
    result: list[torch.Tensor] = []
    for array, start in zip(arrays, starts, strict=False):
        place = slice(int(start), int(start) + array.nbytes)
        own = torch.from_numpy(np.ascontiguousarray(array))
        staged[place].view(own.dtype).view(own.shape).copy_(own)
        result.append(there[place].view(own.dtype).view(own.shape))
    there.copy_(staged, non_blocking=True)
    return result
