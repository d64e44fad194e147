"""An NVIDIA GPU as what computes."""

from __future__ import annotations

import torch

from minikin.engine.cuda.cache import PagedCache
from minikin.engine.cuda.decoder import CudaDecoder
from minikin.engine.cuda.graphs import CudaCapture
from minikin.engine.cuda.weights import DeviceWeights, bytes_of_weights
from minikin.engine.model.architecture import Architecture
from minikin.engine.model.block import BLOCK
from minikin.engine.model.weights import Weights
from minikin.engine.pytorch.backend import usable
from minikin.errors import SetupError

DTYPE = torch.bfloat16
SHARE = 0.85
"""The share of the memory beside the weights that the cache may take."""
RESERVED = 2 << 30
"""Bytes for the numbers inside a step, and for graphs."""


class CudaBackend:
    """See `minikin.engine.backend.Backend`."""

    value_bytes = DTYPE.itemsize

    def __init__(self, device: str) -> None:
        """Raises SetupError for an unusable device."""
        self._device = usable(device)
        try:
            from minikin.engine.cuda.triton_operations import TritonOperations
        except ImportError as error:
            raise SetupError(
                f"--device {device[:64]} needs Triton, which a CUDA build of PyTorch for Linux "
                "contains. Install it, or use --device cpu."
            ) from error
        self._operations = TritonOperations(DTYPE)
        self.description = f"Triton kernels in bfloat16 on {torch.cuda.get_device_name()}"

    @staticmethod
    def fits(a: Architecture) -> bool:
        """Whether the kernels have all layers of a model. `TorchBackend` computes others."""
        others = a.recurrence or a.gated_attention or a.global_heads or a.value_norms
        return all(a.attends) and not others

    def memory(self) -> int:
        """See `Backend`."""
        return torch.cuda.get_device_properties(self._device).total_memory

    def cache_tokens(self, architecture: Architecture, weights: Weights) -> int:
        """See `Backend`."""
        free, _ = torch.cuda.mem_get_info(self._device)
        return tokens_beside(architecture, bytes_of_weights(weights, self.value_bytes), free)

    def decoder(self, architecture: Architecture, weights: Weights) -> CudaDecoder:
        """See `Backend`."""
        return CudaDecoder(
            architecture,
            DeviceWeights.of(weights, DTYPE, self._device),
            self._operations,
            device=self._device,
            capture=CudaCapture(),
        )

    def cache(self, architecture: Architecture, tokens: int, rooms: int) -> PagedCache:
        """See `Backend`. There are no rooms: see `CudaDecoder`."""
        return PagedCache(architecture, tokens, dtype=DTYPE, device=self._device)


def tokens_beside(a: Architecture, weights: int, free: int) -> int:
    """The tokens of a cache beside `weights` bytes, in `free` bytes of a device. At least one
    block."""
    token = a.key_values * DTYPE.itemsize
    room = int((free - weights - RESERVED) * SHARE)
    return max(BLOCK, room // token)
