"""PyTorch as what computes: its device, its type of numbers, its threads."""

from __future__ import annotations

import torch

from minikin import machine
from minikin.engine.model.architecture import Architecture
from minikin.engine.model.kv_cache import tokens_that_fit
from minikin.engine.model.weights import Weights
from minikin.engine.native.features import has_bfloat16
from minikin.engine.native.kernels import Kernels
from minikin.engine.pytorch.decoder import TorchDecoder
from minikin.engine.pytorch.kv_cache import TorchKVCache
from minikin.errors import SetupError


class TorchBackend:
    """See `minikin.engine.loader.Backend`."""

    def __init__(self, device: str, threads: int, kernels: Kernels | None) -> None:
        """`kernels` are those of packed matrices. Raises SetupError for an unusable device."""
        torch.set_num_threads(threads)
        self._device = usable(device)
        on_cpu = self._device.type == "cpu"
        self._dtype = torch.float32 if on_cpu and not has_bfloat16() else torch.bfloat16
        self.value_bytes = self._dtype.itemsize
        self.description = f"PyTorch in {str(self._dtype).removeprefix('torch.')} on {self._device}"
        if on_cpu:
            self.description += f" ({threads} threads)"
        if kernels is not None:
            packed = f"native kernels ({kernels.instructions}) for packed matrices"
            self.description = f"{packed}, {self.description} for the rest"

    def memory(self) -> int:
        """Bytes of the device."""
        if self._device.type == "cuda":
            return torch.cuda.get_device_properties(self._device).total_memory
        return machine.memory()

    def cache_tokens(self, architecture: Architecture, weights: Weights) -> int:
        """See `Backend`."""
        return tokens_that_fit(architecture, self.value_bytes, self.memory())

    def decoder(self, architecture: Architecture, weights: Weights) -> TorchDecoder:
        """A decoder with these weights."""
        return TorchDecoder(architecture, weights, dtype=self._dtype, device=self._device)

    def cache(self, architecture: Architecture, tokens: int, rooms: int) -> TorchKVCache:
        """An empty cache for this number of tokens, and of states."""
        return TorchKVCache(architecture, tokens, rooms, dtype=self._dtype, device=self._device)


def usable(name: str) -> torch.device:
    """The device with this name, after a computation on it. Raises SetupError."""
    try:
        device = torch.device(name)
    except RuntimeError as error:  # it lists twenty kinds
        raise _unusable(name, "PyTorch does not know this device") from error
    try:
        torch.ones(1, device=device).item()
        return device
    except Exception as error:  # each device has its own kinds of errors
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise _unusable(name, reason.rstrip(".")) from error


def _unusable(name: str, reason: str) -> SetupError:
    return SetupError(
        f"Cannot compute on --device {name[:64]}: {reason}. Use --device cpu. An NVIDIA GPU is "
        "--device cuda, and needs a CUDA build of PyTorch."
    )
