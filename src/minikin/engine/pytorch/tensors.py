"""Arrays as tensors on a device."""

from __future__ import annotations

import numpy as np
import torch


def tensor(values: np.ndarray, device: torch.device) -> torch.Tensor:
    """The values, of their own type."""
    return torch.from_numpy(values).to(device)


def optional(values: np.ndarray | None, device: torch.device) -> torch.Tensor | None:
    """The same, or None for None."""
    return None if values is None else tensor(values, device)
