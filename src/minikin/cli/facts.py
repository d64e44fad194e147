"""The facts of a model file, and the memory that it needs."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from minikin.engine.native.build import has_bfloat16, load_library
from minikin.model_file.gguf import GGMLType
from minikin.model_file.model_file import open_model_file

_BASE_BYTES = 450_000_000
"""Python, PyTorch and the HTTP server without a model, measured on Linux with the CPU build."""
_CACHED_TOKENS = 8192
"""The conversation length to plan for. The engine's cache uses memory only as it fills."""
_PACKED = {
    kind: 0.625 if kind.name.startswith("Q4") else 1.125 for kind in GGMLType if kind.block_size > 1
}
_PACKED[GGMLType.BF16] = 2
"""Bytes per weight, with scales, of the types that the native kernels use as they are."""
_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 32: "BF16",
}  # fmt: skip
"""The names of `general.file_type` for mixtures of types: ggml, docs/gguf.md."""


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of one model file or folder."""

    family: str
    quantization: str
    """The file's name for its mixture of types or its method, or the type of most weights."""
    parameters: int
    context_length: int
    """Tokens."""
    memory: int
    """Estimated bytes to serve the model to one user."""


def read_facts(path: Path) -> ModelFacts:
    """The facts of the model at `path`. Raises ModelFileError if the model is not valid."""
    file = open_model_file(path)
    family = str(file.metadata.get("general.architecture", "unknown"))
    counts: Counter[GGMLType] = Counter()
    for tensor in file.tensors.values():
        counts[tensor.type] += math.prod(tensor.shape)
    context = file.metadata.get(f"{family}.context_length")
    return ModelFacts(
        family=family,
        quantization=file.quantization or _quantization(file.metadata, counts),
        parameters=counts.total(),
        context_length=context if isinstance(context, int) else 0,
        memory=_BASE_BYTES + _weight_bytes(counts) + _cache_bytes(file.metadata, family),
    )


def machine_memory() -> int:
    """Total bytes of memory of this machine, or of its container."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


def _quantization(metadata: Mapping[str, Any], counts: Counter[GGMLType]) -> str:
    kind = metadata.get("general.file_type")
    most = max(counts, key=counts.__getitem__).name if counts else "none"
    return _FILE_TYPES.get(kind, most) if isinstance(kind, int) else most


def _dense_bytes() -> int:
    """Bytes of a dense weight in the engine: bfloat16 if the processor supports it."""
    return 2 if has_bfloat16() else 4


def _weight_bytes(counts: Counter[GGMLType]) -> int:
    """Bytes of these counts of weights, packed if this machine's kernels can read them packed."""
    kept = _PACKED if load_library() else {}
    return int(sum(count * kept.get(kind, _dense_bytes()) for kind, count in counts.items()))


def _cache_bytes(metadata: Mapping[str, Any], family: str) -> int:
    """Bytes of keys and values for _CACHED_TOKENS tokens, or for the context if it is shorter."""

    def field(key: str) -> int:
        value = metadata.get(f"{family}.{key}")
        return value if isinstance(value, int) else 0

    heads = max(field("attention.head_count"), 1)
    width = field("attention.key_length") or field("embedding_length") // heads
    kv_heads = field("attention.head_count_kv") or heads
    tokens = min(field("context_length"), _CACHED_TOKENS)
    bytes_each = 2 if load_library() else _dense_bytes()  # native layers cache bfloat16
    return 2 * field("block_count") * kv_heads * width * tokens * bytes_each
