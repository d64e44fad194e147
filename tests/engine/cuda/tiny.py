"""Tiny models on the path of a GPU, computed by any device and any operations."""

from __future__ import annotations

import torch

from minikin.engine.cuda.cache import PagedCache
from minikin.engine.cuda.decoder import CudaDecoder
from minikin.engine.cuda.operations import PlainOperations
from minikin.engine.cuda.weights import DeviceWeights
from minikin.engine.engine import Engine
from minikin.engine.model.architecture import Architecture
from minikin.engine.model.weights import load_weights
from minikin.model_file.model_file import open_model_file
from tests.engine.model.test_families import CONTEXT, CharacterTokenizer


def load(path, operations=None, *, dtype=torch.float32, device="cpu", capture=None):
    file = open_model_file(path)
    architecture = Architecture.read(file, CONTEXT)
    where = {"dtype": dtype, "device": torch.device(device)}
    operations = operations or PlainOperations(dtype)
    weights = DeviceWeights.of(load_weights(file, architecture), **where)
    decoder = CudaDecoder(
        architecture, weights, operations, device=where["device"], capture=capture
    )
    return Engine(
        decoder,
        PagedCache(architecture, 1024, **where),
        CharacterTokenizer(),
        context_length=CONTEXT,
        max_running=8,
        prefill_chunk=16,
    )
