"""Tiny models on the path of a GPU, computed by any device and any operations.

Models whose layers have no kernels for a GPU run there in PyTorch, as `find_backend` decides.
"""

from __future__ import annotations

import torch

from minikin.engine.cuda.backend import CudaBackend
from minikin.engine.cuda.cache import PagedCache
from minikin.engine.cuda.decoder import CudaDecoder
from minikin.engine.cuda.operations import PlainOperations
from minikin.engine.cuda.weights import DeviceWeights
from minikin.engine.engine import Engine
from minikin.engine.model.architecture import Architecture
from minikin.engine.model.weights import load_weights
from minikin.engine.pytorch.decoder import TorchDecoder
from minikin.engine.pytorch.kv_cache import TorchKVCache
from minikin.model_file.model_file import open_model_file
from tests.engine.model.test_families import CONTEXT, ROOMS, CharacterTokenizer


def load(path, operations=None, *, dtype=torch.float32, device="cpu", capture=None):
    file = open_model_file(path)
    architecture = Architecture.read(file, CONTEXT)
    where = {"dtype": dtype, "device": torch.device(device)}
    weights = load_weights(file, architecture)
    if CudaBackend.fits(architecture):
        operations = operations or PlainOperations(dtype)
        own = DeviceWeights.of(weights, **where)
        decoder = CudaDecoder(
            architecture, own, operations, device=where["device"], capture=capture
        )
        cache = PagedCache(architecture, 1024, **where)
    else:
        decoder = TorchDecoder(architecture, weights, **where)
        cache = TorchKVCache(architecture, 1024, ROOMS, **where)
    return Engine(
        decoder,
        cache,
        CharacterTokenizer(),
        context_length=CONTEXT,
        max_running=8,
        prefill_chunk=16,
    )
