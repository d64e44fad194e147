"""What computes a model: the native kernels if they can, otherwise PyTorch."""

from __future__ import annotations

from typing import Protocol

from minikin import machine
from minikin.engine.model.architecture import Architecture
from minikin.engine.model.decoder import Cache, Decoder
from minikin.engine.model.kv_cache import KVCache, tokens_that_fit
from minikin.engine.model.native_decoder import NativeDecoder
from minikin.engine.model.native_layers import NativeLayers
from minikin.engine.model.weights import Weights
from minikin.engine.native.kernels import Kernels
from minikin.errors import SetupError


class Backend(Protocol):
    """Makes the decoder and the cache of one model."""

    description: str
    """What decides the bits of a seeded answer, beside the weights."""

    def memory(self) -> int:
        """Bytes of memory in total."""
        ...

    def cache_tokens(self, architecture: Architecture, weights: Weights, /) -> int:
        """The number of tokens whose keys and values fit the memory."""
        ...

    def decoder(self, architecture: Architecture, weights: Weights, /) -> Decoder:
        """A decoder with these weights."""
        ...

    def cache(self, architecture: Architecture, tokens: int, rooms: int, /) -> Cache:
        """An empty cache for this number of tokens, and of states if the model has some."""
        ...


class NativeBackend:
    """See `Backend`."""

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels
        self.description = f"native kernels ({kernels.instructions})"

    def memory(self) -> int:
        """See `Backend`."""
        return machine.memory()

    def cache_tokens(self, architecture: Architecture, weights: Weights) -> int:
        """See `Backend`."""
        return tokens_that_fit(architecture, KVCache.value_bytes, self.memory())

    def decoder(self, architecture: Architecture, weights: Weights) -> NativeDecoder:
        """See `Backend`."""
        return NativeDecoder(architecture, weights, self._kernels)

    def cache(self, architecture: Architecture, tokens: int, rooms: int) -> KVCache:
        """See `Backend`."""
        return KVCache(architecture, tokens, rooms)


def find_backend(
    device: str, threads: int, kernels: Kernels | None, architecture: Architecture, weights: Weights
) -> Backend:
    """What computes these weights fastest. Raises SetupError if nothing can."""
    if kernels is not None and NativeLayers.fit(architecture, weights):
        return NativeBackend(kernels)
    try:
        from minikin.engine.cuda.backend import CudaBackend
        from minikin.engine.pytorch.backend import TorchBackend
    except ImportError as error:
        raise SetupError(_missing(device, kernels)) from error
    if device.partition(":")[0] == "cuda" and CudaBackend.fits(architecture):
        return CudaBackend(device)
    return TorchBackend(device, threads, kernels)


def _missing(device: str, kernels: Kernels | None) -> str:
    """Why PyTorch is necessary, and how to do without it or get it."""
    install = "install PyTorch: pip install 'minikin[torch]'"
    if device != "cpu":
        return f"--device {device[:64]} needs PyTorch. Use --device cpu, or {install}."
    if kernels is None:
        return f"The native kernels could not be made. Install gcc and start again, or {install}."
    return f"The native kernels do not support the sizes of this model. Use another, or {install}."
