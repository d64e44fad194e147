"""The families of models that one decoder computes."""

from __future__ import annotations

from dataclasses import dataclass

_QUERY_KEY_NORMS = ("attn_q_norm.weight", "attn_k_norm.weight")
_POST_NORMS = ("post_attention_norm.weight", "post_ffw_norm.weight")
_QKV_BIASES = ("attn_q.bias", "attn_k.bias", "attn_v.bias")
_GPT_OSS = (
    *_QKV_BIASES,
    "attn_output.bias",
    "attn_sinks.weight",
    "ffn_gate_inp.bias",
    "ffn_down_exps.bias",
)


@dataclass(frozen=True, kw_only=True)
class Family:
    """What a family has in common that its files don't state."""

    layer_tensors: tuple[str, ...] = ()
    """Tensors that each layer must have, besides those of all families."""
    side_by_side: bool = False
    """GGUF files keep the two rows of a rotary pair next to each other."""
    activation: str = "silu"
    scaled_embedding: bool = False
    """Embeddings are multiplied by the square root of the hidden size."""
    global_every: int = 0
    """Each n-th layer has no window, whatever the others have; 0: all have the same."""
    unplaced_every: int = 0
    """Each n-th layer knows no positions; 0: all know them."""
    local_rope_base: float | None = None
    """The base of the rotary frequencies in layers with a window, if they have one of their own."""
    wide_layers: int | None = None
    """With this many layers, a model scales its queries by hidden / heads, not by the head size."""
    feed_forward_norm: str = "ffn_norm.weight"
    """The tensor of the norm before the feed-forward."""
    mixture: bool = False
    """Each layer is a mixture of experts. Files of other families say so if theirs are."""
    rounded_yarn: bool = True
    """Where YaRN begins and ends to slow pairs down is rounded to whole pairs."""


FAMILIES = {
    "llama": Family(side_by_side=True),
    "smollm3": Family(side_by_side=True, unplaced_every=4),
    "qwen2": Family(layer_tensors=_QKV_BIASES),
    "qwen3": Family(layer_tensors=_QUERY_KEY_NORMS),
    "qwen3moe": Family(layer_tensors=_QUERY_KEY_NORMS, mixture=True),
    "gemma2": Family(
        layer_tensors=_POST_NORMS,
        activation="gelu",
        scaled_embedding=True,
        global_every=2,
        wide_layers=46,
    ),
    "gemma3": Family(
        layer_tensors=_QUERY_KEY_NORMS + _POST_NORMS,
        activation="gelu",
        scaled_embedding=True,
        global_every=6,
        local_rope_base=10_000.0,
        wide_layers=62,
    ),
    "phi3": Family(),
    "gpt-oss": Family(
        layer_tensors=_GPT_OSS,
        activation="clamped silu",
        global_every=2,
        feed_forward_norm="post_attention_norm.weight",
        mixture=True,
        rounded_yarn=False,
    ),
}
"""By the value of `general.architecture`. Mistral's and Mixtral's is "llama", Phi-4's "phi3"."""
