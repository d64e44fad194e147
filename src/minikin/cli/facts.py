"""The facts of a model file, and the memory that it needs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from minikin.engine.model.footprint import footprint
from minikin.model_file.gguf import GGMLType
from minikin.model_file.model_file import open_model_file

_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4", 39: "NVFP4",
    40: "Q1_0",
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
        memory=footprint(file),
    )


def _quantization(metadata: Mapping[str, Any], counts: Counter[GGMLType]) -> str:
    kind = metadata.get("general.file_type")
    most = max(counts, key=counts.__getitem__).name if counts else "none"
    return _FILE_TYPES.get(kind, most) if isinstance(kind, int) else most
