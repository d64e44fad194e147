"""A step of answers that a GPU computes while the host does other work."""

from __future__ import annotations

import numpy as np
import torch


class CudaLaunched:
    """See `Launched`."""

    def __init__(self, chosen: torch.Tensor) -> None:
        """`chosen` [R] int64: the tokens on the device. The next step can overwrite them.

        The device copies them first, because it does one thing after the other.
        """
        self.chosen = chosen
        on_cuda = chosen.device.type == "cuda"
        host = torch.empty(chosen.shape, dtype=chosen.dtype, pin_memory=on_cuda)
        self._host = host.copy_(chosen, non_blocking=on_cuda)
        self._copied = torch.cuda.Event() if on_cuda else None
        if self._copied:
            self._copied.record()

    def read(self) -> np.ndarray:
        """See `Launched`."""
        if self._copied:
            self._copied.synchronize()
        return self._host.numpy()
