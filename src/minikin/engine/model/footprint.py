"""The memory that a model takes, from the header of its file: nothing is loaded or compiled."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import repeat
from typing import Any

import numpy as np

from minikin.engine.native.build import expects_kernels
from minikin.engine.native.contract import GROUP
from minikin.engine.native.features import has_bfloat16
from minikin.engine.native.levels import LEVEL_BITS
from minikin.model_file.family import FAMILIES
from minikin.model_file.gguf import GGMLType
from minikin.model_file.model_file import ModelFile

BASE_BYTES = 300_000_000
"""All processes of a server without a model, measured on Linux with the native kernels."""
CACHED_TOKENS = 8192
"""The conversation length to plan for. The engine's cache uses memory only as it fills."""
STATES = 6
"""States of one conversation to plan for: two of its sequence, and snapshots."""
_PACKED: dict[GGMLType, float] = {
    **dict.fromkeys((GGMLType.BF16, GGMLType.F16, GGMLType.F32), 2),
    **{kind: bits / 8 + 2 * 2 / GROUP for kind, bits in LEVEL_BITS.items()},
}
"""Bytes per weight, with scales, in the native kernels."""


def footprint(file: ModelFile) -> int:
    """Estimated bytes to serve the model to one user."""
    family = str(file.metadata.get("general.architecture", "unknown"))
    native = expects_kernels()
    return BASE_BYTES + _weights(file, native) + _cache(file.metadata, family, native)


def _weights(file: ModelFile, native: bool) -> int:
    """Bytes of all weights: packed if the native kernels use the type packed, otherwise dense."""
    counts: Counter[GGMLType] = Counter()
    for tensor in file.tensors.values():
        counts[tensor.type] += math.prod(tensor.shape)
    packed = _PACKED if native else {}
    return int(sum(count * packed.get(kind, _dense()) for kind, count in counts.items()))


def _dense() -> int:
    """Bytes of a dense weight: two if the processor computes in bfloat16."""
    return 2 if has_bfloat16() else 4


def _cache(metadata: Mapping[str, Any], family: str, native: bool) -> int:
    """Bytes of keys and values for CACHED_TOKENS tokens, or for the context if it is shorter.

    And of states.
    """

    def field(key: str) -> int:
        value = metadata.get(f"{family}.{key}")
        return value if isinstance(value, int) else 0

    layers, heads = field("block_count"), max(field("attention.head_count"), 1)
    width = field("attention.key_length") or field("embedding_length") // heads
    kv_heads = field("attention.head_count_kv") or heads
    if field("attention.kv_lora_rank"):  # each head has keys and values, see `latent.py`
        width, kv_heads = field("attention.key_length_mla") or width, heads
    parallel = family in FAMILIES and FAMILIES[family].parallel
    usual = 4 if field("ssm.state_size") and not parallel else 1
    every = field("full_attention_interval") or usual
    attending = layers // max(every, 1)
    recurrent = metadata.get(f"{family}.attention.recurrent_layers")
    if isinstance(recurrent, list | np.ndarray):
        attending = layers - sum(map(bool, recurrent[:layers]))
    stated = metadata.get(f"{family}.attention.head_count_kv")
    if isinstance(stated, list | np.ndarray):  # 0 for layers without attention
        counts = [int(one) for one in stated if isinstance(one, int | np.integer) and one > 0]
        attending, kv_heads = len(counts), max(counts, default=0)
    numbers = attending * kv_heads * width
    local = metadata.get(f"{family}.attention.sliding_window_pattern")
    if (near := field("attention.key_length_swa")) and isinstance(local, list | np.ndarray):
        each = stated if isinstance(stated, list | np.ndarray) else repeat(kv_heads)
        own = layers - field("attention.shared_kv_layers")
        numbers = sum(
            int(count) * (near if windowed else width)
            for count, windowed in zip(each, local[: max(own, 0)], strict=False)
            if isinstance(count, int | np.integer)
        )
    tokens = min(field("context_length"), CACHED_TOKENS)
    bytes_each = 2 if native else _dense()  # native layers cache bfloat16
    feeding = 0  # layers that have nothing else than a feed-forward
    sizes = metadata.get(f"{family}.feed_forward_length")
    if isinstance(sizes, list | np.ndarray):
        feeding = int(np.count_nonzero(sizes[:layers]))
    recurring = layers if parallel else max(layers - attending - feeding, 0)
    states = STATES * 4 * recurring * _state_size(field)
    return 2 * numbers * tokens * bytes_each + states


def _state_size(field: Callable[[str], int]) -> int:
    """The floats of the state of a layer without attention (see `recurrence.py`)."""
    keys, values = field("ssm.state_size"), field("ssm.inner_size")
    channels = 2 * field("ssm.group_count") * keys + values
    convolution = max(field("ssm.conv_kernel") - 1, 0) * channels
    short = max(field("shortconv.l_cache") - 1, 0) * field("embedding_length")
    return convolution + keys * values + short
