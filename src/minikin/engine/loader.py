"""Turns a model file into an engine that is ready to run."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

import numpy as np

from minikin import machine
from minikin.config import CACHE_SHARE, EngineSettings
from minikin.engine.backend import Backend, find_backend
from minikin.engine.engine import Engine
from minikin.engine.mask import MakeMasks
from minikin.engine.messages import GenerationRequest, ModelInfo, SamplingParams
from minikin.engine.model.architecture import Architecture
from minikin.engine.model.block import BLOCK
from minikin.engine.model.decoder import Cache
from minikin.engine.model.kv_cache import KVCache
from minikin.engine.model.shelf import Shelf
from minikin.engine.model.weights import load_weights
from minikin.engine.native.build import load_library
from minikin.engine.native.kernels import Kernels
from minikin.engine.own_code import READING, own_code
from minikin.engine.packed_cache import PackedCache
from minikin.engine.prefix_files import PrefixFiles
from minikin.engine.prefix_store import BLOCKS, PrefixStore
from minikin.engine.states import ROOMS_EACH
from minikin.errors import ModelFileError
from minikin.model_file.model_file import ModelFile, open_model_file
from minikin.tokenizer.tokenizer import Tokenizer

log = logging.getLogger(__name__)

FLOAT_BYTES = 4
GB = 10**9
NUMERICS = 4
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
    threads = settings.threads or machine.processors()
    file = open_model_file(settings.model)
    architecture = Architecture.read(file, settings.context_length)
    tokenizer = Tokenizer.from_gguf(file.metadata)
    if tokenizer.vocab_size != architecture.vocab_size:
        raise ModelFileError(
            f"The tokenizer of the model file has {tokenizer.vocab_size} tokens, "
            f"but the model has {architecture.vocab_size}."
        )
    # On another device than the CPU, PyTorch computes.
    library = find_kernels() if settings.device == "cpu" else None
    kernels = Kernels(library, threads) if library else None
    digest = file.digest()
    packed = PackedCache(file, digest, kernels, settings.packed_cache * GB) if kernels else None
    shelf = Shelf(packed.read() if packed else ())
    weights = load_weights(file, architecture, kernels, shelf)
    backend = find_backend(settings.device, threads, kernels, architecture, weights)
    tokens = settings.kv_cache_tokens or backend.cache_tokens(architecture, weights)
    tokens = max(tokens, BLOCK)  # the minimum
    context = min(architecture.context_length, tokens // BLOCK * BLOCK)
    _report_less(settings.context_length, context, architecture.context_length)
    running, rooms = _rooms_that_fit(architecture, backend, settings.max_running)
    # Read again, because the RoPE angles can depend on the context length.
    architecture = Architecture.read(file, context)
    log.info("Computing with %s", backend.description)
    cache = backend.cache(architecture, tokens, rooms)
    engine = Engine(
        backend.decoder(architecture, weights),
        cache,
        tokenizer,
        context_length=context,
        max_running=running,
        prefill_chunk=settings.prefill_chunk,
        masks=make_masks(tokenizer) if make_masks else None,
        cut_at_limit=settings.cut_at_limit,
        store=_prefix_store(settings, file, library, cache, context),
    )
    _warm(engine, context)
    if packed and not shelf.is_whole:
        packed.write_later(shelf.matrices)
    info = ModelInfo(
        context_length=context,
        vocab_size=architecture.vocab_size,
        fingerprint=_fingerprint(digest, backend.description),
    )
    return engine, info


def _prefix_store(
    settings: EngineSettings,
    file: ModelFile,
    library: ctypes.CDLL | None,
    cache: Cache,
    context: int,
) -> PrefixStore | None:
    """The store of prompts, if the user wants one. Raises SetupError for an unusable folder."""
    if settings.prefix_store is None:
        return None
    if library is None or not isinstance(cache, KVCache):
        log.warning("--prefix-store has no effect: only the native kernels have it")
        return None
    if cache.rooms:
        log.warning("--prefix-store has no effect: this model has states beside keys and values")
        return None
    # All that decides a bit of keys and values, except tokens. The library has the compiler's
    # choices. NumPy and the processor decide the angles of RoPE.
    parts = (
        file.digest(),
        str([written for written, _ in file.changed]),
        blake2b(Path(library._name).read_bytes()).hexdigest(),
        own_code(*READING, "engine"),
        np.__version__,
        machine.processor_name(),
        str(context),
    )
    key = blake2b("\n".join(parts).encode()).digest()
    arrays = (*cache.keys, *cache.values)
    numbers = BLOCKS * sum(array[0].size for array in arrays)
    files = PrefixFiles(settings.prefix_store, settings.prefix_store_size * GB, numbers)
    log.info("Long prompts are stored in %s", files.folder)
    return PrefixStore(files, key, arrays)


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


def _rooms_that_fit(a: Architecture, backend: Backend, running: int) -> tuple[int, int]:
    """How many sequences can run, and the rooms for their states and for as many snapshots."""
    if not a.state_size:
        return running, 0
    most = int(backend.memory() * CACHE_SHARE) // (FLOAT_BYTES * a.state_size)
    able = max(1, min(running, most // (2 * ROOMS_EACH)))
    if able < running:
        log.warning("At most %d answers run at the same time: their states take memory", able)
    return able, 1 + 2 * ROOMS_EACH * able


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


def _fingerprint(digest: str, computed: str) -> str:
    """Six digits of the weights, and four of what else decides the bits of a seeded answer."""
    rest = blake2b(f"{computed}, numerics {NUMERICS}".encode(), digest_size=2).hexdigest()
    return f"fp_{digest[:6]}{rest}"
