"""The shape of a llama-family decoder, read from a model file's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minikin.errors import ModelFileError

KNOWN = ("llama",)


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Sizes and constants of one model. Differences between families are fields, not classes."""

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    feed_forward: int
    vocab_size: int
    context_length: int
    norm_epsilon: float
    rope_base: float

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, Any]) -> Architecture:
        """Read the fields that GGUF keeps under the architecture's own name.

        Raises ModelFileError for an architecture that is not one of KNOWN, or a missing field.
        """
        name = metadata.get("general.architecture")
        if name not in KNOWN:
            raise ModelFileError(
                f"This file holds a model of the architecture {name!r}; "
                f"Minikin knows: {', '.join(KNOWN)}."
            )

        def field(key: str, default: Any = None) -> Any:
            value = metadata.get(f"{name}.{key}", default)
            if value is None:
                raise ModelFileError(f"The model file lacks the field {name}.{key}.")
            return value

        hidden, heads = field("embedding_length"), field("attention.head_count")
        return cls(
            name=name,
            layers=field("block_count"),
            hidden=hidden,
            heads=heads,
            kv_heads=field("attention.head_count_kv", heads),
            head_dim=field("attention.key_length", hidden // heads),
            feed_forward=field("feed_forward_length"),
            vocab_size=field("vocab_size", len(metadata.get("tokenizer.ggml.tokens", ()))),
            context_length=field("context_length"),
            norm_epsilon=field("attention.layer_norm_rms_epsilon"),
            rope_base=field("rope.freq_base", 10_000.0),
        )
