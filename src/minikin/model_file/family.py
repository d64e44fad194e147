"""The model families that the decoder computes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

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

ActivationName = Literal["silu", "gelu", "clamped silu", "squared relu"]
"""What the feed-forward computes between its matrices; see `engine.pytorch.activation`."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """The facts of a family that its files do not contain."""

    layer_tensors: tuple[str, ...] = ()
    """Tensors that each layer must have, in addition to those of all families."""
    side_by_side: bool = False
    """In GGUF files, the two rows of a rotary pair are adjacent."""
    activation: ActivationName = "silu"
    scaled_embedding: bool = False
    """The decoder multiplies embeddings by the square root of the hidden size."""
    global_every: int = 0
    """Every n-th layer has no window. 0: all layers are the same."""
    unplaced_every: int = 0
    """Every n-th layer has no positions. 0: all layers have them."""
    local_rope_base: float | None = None
    """The RoPE base of layers with a window, if it differs from that of the others."""
    global_heads: bool = False
    """Layers without a window have heads of another size and number than the others."""
    wide_layers: int | None = None
    """A model with this many layers scales its queries by hidden / heads, not by the head size."""
    unscaled: bool = False
    """Products of queries and keys have no factor."""
    value_norms: bool = False
    """Each head of values has a norm, without weights."""
    keys_as_values: bool = False
    """Layers without a matrix of values use that of keys."""
    layer_inputs: bool = False
    """The file can say that each layer has an input of its own, made from the token."""
    feed_forward_norm: str = "ffn_norm.weight"
    """The tensor of the norm before the feed-forward."""
    norm_before: bool = True
    """Attention and feed-forward read the residual stream through a norm."""
    late_norms: bool = False
    """The norms of queries and keys come after their rotation."""
    multiplied: bool = False
    """The file has factors for embeddings, residuals and logits."""
    unplaced_global: bool = False
    """If some layers have a window, the others have no positions."""
    plain_local_rope: bool = False
    """Layers with a window do not scale their positions."""
    mixture: bool = False
    """Layers are mixtures of experts. In other families, the file says whether they are."""
    sigmoid: bool | None = False
    """Experts get their weights by a sigmoid. None: the file says whether they do."""
    normalized: bool = True
    """The weights of a row's experts add up to 1, unless the file says otherwise."""
    beside: bool = False
    """A layer with experts has a feed-forward beside them."""
    gated_shared: bool = False
    """The weight of the shared experts is the sigmoid of a gate."""
    optional_tensors: tuple[str, ...] = ()
    """Tensors that some models of the family have in each layer."""
    short_convolutions: bool = False
    """Layers without key heads are short convolutions."""
    mamba: bool = False
    """Layers without key heads are those of Mamba 2."""
    one_part: bool = False
    """Each layer is attention, a recurrence or a feed-forward. The file has their sizes, or 0."""
    parallel: bool = False
    """All layers have both attention and a recurrence, which read the same vectors."""
    stated_positions: bool = False
    """The file can say that no layer has positions."""
    delta_nets: bool = False
    """All layers but every n-th are delta nets. The file says n."""
    grouped_values: bool = False
    """The value heads of a delta net's key head are adjacent in GGUF files too."""
    gated_attention: bool = False
    """Each output of attention is multiplied by a sigmoid, of gates beside the queries."""
    latent: bool = False
    """Keys and values are made from a vector that all heads share. See `Latent`."""
    final_norm: str = "output_norm.weight"
    """The tensor of the norm after the last layer."""
    rounded_yarn: bool = True
    """The first and last pair that YaRN changes are rounded to whole pairs."""

    @property
    def has_local_rope(self) -> bool:
        """Whether layers with a window have positions of their own."""
        return self.plain_local_rope or self.local_rope_base is not None


_NEMOTRON_H = Family(
    one_part=True,
    mamba=True,
    activation="squared relu",
    feed_forward_norm="attn_norm.weight",
    unplaced_every=1,
)
FAMILIES = {
    "llama": Family(side_by_side=True),
    "mistral3": Family(side_by_side=True),
    "granite": Family(side_by_side=True, multiplied=True, stated_positions=True),
    "granitemoe": Family(side_by_side=True, multiplied=True, stated_positions=True, mixture=True),
    "granitehybrid": Family(side_by_side=True, multiplied=True, stated_positions=True, mamba=True),
    "minicpm": Family(side_by_side=True, multiplied=True),
    "nemotron_h": _NEMOTRON_H,
    "nemotron_h_moe": replace(_NEMOTRON_H, mixture=True, sigmoid=True),
    "falcon-h1": Family(feed_forward_norm="ffn_norm", mamba=True, parallel=True),
    "ernie4_5": Family(side_by_side=True),
    "glm4": Family(layer_tensors=_POST_NORMS, side_by_side=True),
    "smollm3": Family(side_by_side=True, unplaced_every=4),
    "qwen2": Family(layer_tensors=_QKV_BIASES),
    "qwen2moe": Family(
        layer_tensors=_QKV_BIASES, mixture=True, normalized=False, gated_shared=True
    ),
    "qwen2vl": Family(layer_tensors=_QKV_BIASES),
    "seed_oss": Family(layer_tensors=_QKV_BIASES, feed_forward_norm="post_attention_norm.weight"),
    "qwen3": Family(layer_tensors=_QUERY_KEY_NORMS),
    "qwen3vl": Family(layer_tensors=_QUERY_KEY_NORMS),
    "hunyuan-dense": Family(layer_tensors=_QUERY_KEY_NORMS, late_norms=True),
    "olmo2": Family(
        layer_tensors=_QUERY_KEY_NORMS + _POST_NORMS,
        norm_before=False,
        global_every=4,
        plain_local_rope=True,
    ),
    "exaone4": Family(
        layer_tensors=_QUERY_KEY_NORMS + _POST_NORMS,
        norm_before=False,
        global_every=4,
        unplaced_global=True,
    ),
    "qwen3moe": Family(layer_tensors=_QUERY_KEY_NORMS, mixture=True),
    "qwen3vlmoe": Family(layer_tensors=_QUERY_KEY_NORMS, mixture=True),
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
    "gemma4": Family(
        layer_tensors=_QUERY_KEY_NORMS + _POST_NORMS,
        optional_tensors=("layer_output_scale.weight",),
        activation="gelu",
        scaled_embedding=True,
        global_every=6,
        global_heads=True,
        local_rope_base=10_000.0,
        unscaled=True,
        value_norms=True,
        keys_as_values=True,
        layer_inputs=True,
        beside=True,
    ),
    "phi3": Family(),
    "qwen35": Family(
        layer_tensors=_QUERY_KEY_NORMS,
        feed_forward_norm="post_attention_norm.weight",
        delta_nets=True,
        gated_attention=True,
    ),
    "qwen35moe": Family(
        layer_tensors=_QUERY_KEY_NORMS,
        feed_forward_norm="post_attention_norm.weight",
        delta_nets=True,
        gated_attention=True,
        mixture=True,
        gated_shared=True,
    ),
    "qwen3next": Family(
        layer_tensors=_QUERY_KEY_NORMS,
        feed_forward_norm="post_attention_norm.weight",
        delta_nets=True,
        grouped_values=True,
        gated_attention=True,
        mixture=True,
        gated_shared=True,
    ),
    "lfm2": Family(
        layer_tensors=_QUERY_KEY_NORMS,
        short_convolutions=True,
        final_norm="token_embd_norm.weight",
    ),
    "lfm2moe": Family(
        layer_tensors=_QUERY_KEY_NORMS,
        short_convolutions=True,
        final_norm="token_embd_norm.weight",
        mixture=True,
        sigmoid=True,
    ),
    "ernie4_5-moe": Family(side_by_side=True, mixture=True),
    "glm4moe": Family(
        optional_tensors=_QUERY_KEY_NORMS,
        feed_forward_norm="post_attention_norm.weight",
        mixture=True,
        sigmoid=True,
    ),
    # DeepSeek V2 and V3, GLM-4.7-Flash.
    "deepseek2": Family(
        side_by_side=True, latent=True, mixture=True, sigmoid=None, normalized=False
    ),
    "dots1": Family(layer_tensors=_QUERY_KEY_NORMS, mixture=True, sigmoid=True),
    "minimax-m2": Family(layer_tensors=_QUERY_KEY_NORMS, mixture=True, sigmoid=True),
    "gpt-oss": Family(
        layer_tensors=_GPT_OSS,
        activation="clamped silu",
        global_every=2,
        feed_forward_norm="post_attention_norm.weight",
        mixture=True,
        rounded_yarn=False,
    ),
}
"""By the value of `general.architecture`. Mistral and Mixtral use "llama", Phi-4 "phi3"."""
