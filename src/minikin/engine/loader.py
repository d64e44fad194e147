"""Turns a model file into an engine that is ready to run."""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Callable
from hashlib import blake2b

import torch

from minikin.config import CACHE_SHARE, MOST_TOKENS, EngineSettings
from minikin.engine.engine import Engine
from minikin.engine.mask import MakeMasks
from minikin.engine.messages import GenerationRequest, ModelInfo, SamplingParams
from minikin.engine.model.architecture import Architecture
from minikin.engine.model.block import BLOCK
from minikin.engine.model.decoder import Decoder
from minikin.engine.model.kv_cache import KVCache
from minikin.engine.model.native_layers import NativeLayers
from minikin.engine.model.weights import load_weights
from minikin.engine.native.build import has_bfloat16, load_library
from minikin.engine.native.kernels import Kernels
from minikin.errors import ModelFileError, SetupError
from minikin.model_file.model_file import ModelFile, open_model_file
from minikin.tokenizer.tokenizer import Tokenizer

log = logging.getLogger(__name__)

NUMERICS = 3
"""Raise it with each change that can change one bit of the answer to a request with a seed."""


def load_engine(
    settings: EngineSettings,
    make_masks: MakeMasks | None = None,
    find_kernels: Callable[[], ctypes.CDLL | None] = load_library,
) -> tuple[Engine, ModelInfo]:
    """Load the model and run it once, so that the first request is fast.

    Without `make_masks`, requests cannot have grammars. Raises ModelFileError, or SetupError for a
    device that cannot be used.
    """
    threads = settings.threads or os.cpu_count() or 1
    torch.set_num_threads(threads)
    device = _device(settings.device)
    file = open_model_file(settings.model)
    architecture = Architecture.read(file, settings.context_length)
    tokenizer = Tokenizer.from_gguf(file.metadata)
    if tokenizer.vocab_size != architecture.vocab_size:
        raise ModelFileError(
            f"The tokenizer of the model file has {tokenizer.vocab_size} tokens, "
            f"but the model has {architecture.vocab_size}."
        )
    library = find_kernels() if device.type == "cpu" else None
    kernels = Kernels(library, threads) if library else None
    dtype = torch.bfloat16 if device.type != "cpu" or has_bfloat16() else torch.float32
    weights = load_weights(file, architecture, dtype=dtype, device=device, kernels=kernels)
    native = kernels is not None and NativeLayers.fit(architecture, weights)
    cached = torch.bfloat16 if native else dtype
    tokens = settings.kv_cache_tokens or _tokens_that_fit(architecture, cached, device)
    tokens = max(tokens, BLOCK)  # the minimum
    context = min(architecture.context_length, tokens // BLOCK * BLOCK)
    _report_less(settings.context_length, context, architecture.context_length)
    # Read again, because the RoPE angles can depend on the context length.
    architecture = Architecture.read(file, context)
    cache = KVCache(architecture, tokens, dtype=cached, device=device)
    decoder = Decoder(architecture, weights, device, kernels)
    computed = _what_computes(decoder, kernels, dtype)
    log.info("Computing with %s", computed)
    engine = Engine(
        decoder,
        cache,
        tokenizer,
        context_length=context,
        max_running=settings.max_running,
        prefill_chunk=settings.prefill_chunk,
        masks=make_masks(tokenizer) if make_masks else None,
        cut_at_limit=settings.cut_at_limit,
    )
    _warm(engine, context)
    info = ModelInfo(
        context_length=context,
        vocab_size=architecture.vocab_size,
        fingerprint=_fingerprint(file, computed),
    )
    return engine, info


def _device(name: str) -> torch.device:
    """The device with this name, after a computation on it. Raises SetupError."""
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()
        return device
    except Exception as error:  # each device has its own kinds of errors
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SetupError(
            f"Cannot compute on --device {name[:64]}: {reason.rstrip('.')}. Use --device cpu. An "
            "NVIDIA GPU is --device cuda, and needs a CUDA build of PyTorch."
        ) from error


def _report_less(wanted: int | None, given: int, of_model: int) -> None:
    """Log why a context is shorter than `wanted`. `of_model` is the model's, up to that."""
    if wanted and given < wanted:
        reason = (
            "the model has no more"
            if given == of_model
            else "the cache has room for no more. To set its size: --kv-cache-tokens"
        )
        log.warning(
            "The context has %d tokens, not the %d of --context-length: %s", given, wanted, reason
        )


def _what_computes(decoder: Decoder, kernels: Kernels | None, dtype: torch.dtype) -> str:
    pytorch = f"PyTorch in {str(dtype).removeprefix('torch.')} on {decoder.device}"
    if decoder.device.type == "cpu":
        pytorch += f" ({torch.get_num_threads()} threads)"
    if kernels is None:
        return pytorch
    native = f"native kernels ({kernels.instructions})"
    return native if decoder.native else f"{native} for packed matrices, {pytorch} for the rest"


def _tokens_that_fit(a: Architecture, dtype: torch.dtype, device: torch.device) -> int:
    """The number of tokens whose cache fits CACHE_SHARE of the memory, up to MOST_TOKENS."""
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
    else:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    token = 2 * a.layers * a.kv_heads * a.head_dim * dtype.itemsize
    return max(BLOCK, min(MOST_TOKENS, int(memory * CACHE_SHARE) // token))


def _warm(engine: Engine, context: int) -> None:
    """Run every kernel once, because the first run prepares data for later ones.

    Raises ModelFileError if the model cannot compute an answer.
    """
    for length in (1, max(1, min(2 * BLOCK, context - 2))):
        params = SamplingParams(max_tokens=min(2, context), top_p=0.5, seed=0)
        engine.add(GenerationRequest(id="warm", prompt=[0] * length, params=params))
        while engine.busy:
            for event in engine.step():
                if event.error:
                    raise ModelFileError(
                        f"The model in this file cannot compute an answer ({event.error}). The "
                        "file is damaged."
                    )


def _fingerprint(file: ModelFile, computed: str) -> str:
    """Six digits of the weights, and four of what else decides the bits of a seeded answer."""
    rest = blake2b(f"{computed}, numerics {NUMERICS}".encode(), digest_size=2).hexdigest()
    return f"fp_{file.digest()[:6]}{rest}"
