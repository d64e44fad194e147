"""The families that have folders, by the `model_type` of config.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Arch = Literal[
    "llama", "smollm3", "qwen2", "qwen3", "qwen3moe", "gemma2", "gemma3", "phi3", "mistral3",
    "granite", "ernie4_5", "glm4", "qwen2vl", "qwen3vl", "seed_oss", "hunyuan-dense", "olmo2",
    "exaone4", "ernie4_5-moe", "glm4moe", "dots1", "minimax-m2", "gpt-oss", "lfm2",
    "qwen35", "qwen35moe", "qwen3next", "lfm2moe", "granitehybrid", "falcon-h1",
    "deepseek2", "gemma4", "qwen2moe", "granitemoe", "nemotron_h", "nemotron_h_moe",
]  # fmt: skip
"""The families that have folders, by GGUF's names."""
Windowed = Literal["none", "all", "late", "unplaced", "family"]
"""No layers, all, late ones, those without positions, or those of the family's pattern."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The meaning of a value of `model_type`."""

    arch: Arch
    """GGUF's name of the family."""
    tied: bool = False
    """The output head is the embedding, unless config.json says otherwise."""
    own_head_dim: bool = False
    """`head_dim` has its own default in this family, so config.json must contain it."""
    gemma: bool = False
    norms_from_zero: bool = False
    """The model multiplies by 1 + w. In GGUF files, the 1 is added to the norms' weights."""
    window: Windowed = "none"
    """The layers with a sliding window, if config.json does not list them."""
    rope_base: float = 10_000.0
    rotary_share: float | None = None
    """The share of a head that rotates, unless config.json says it. None: always the whole head."""
    interleaved: bool = False
    """The two rows of a rotary pair are adjacent, as in GGUF files of the family."""
    multiplied: bool = False
    """config.json has factors for embeddings, attention, residuals and logits."""
    feed_forward: str = "intermediate_size"
    """What config.json calls the size of the feed-forward."""
    latent: bool = False
    """Attention is latent: heads have sizes of their own for what rotates, and for values."""
    normalized: bool = True
    """The weights of a row's experts add up to 1, unless config.json says otherwise."""
    mixture: bool = False
    """Every layer is a mixture of experts."""
    experts: Mapping[str, str] = field(default_factory=dict)
    """What config.json calls the fields of a mixture, if not as Mixtral or Qwen3."""
    names: Mapping[str, str] = field(default_factory=dict)
    """GGUF's names of tensors that have other names in other families."""


_POST_NAMES = {"post_attention_layernorm": "post_attention_norm"}
_AFTER_NAMES = _POST_NAMES | {"post_feedforward_layernorm": "post_ffw_norm"}
_GEMMA_NAMES = _AFTER_NAMES | {"pre_feedforward_layernorm": "ffn_norm"}
_GEMMA4_NAMES = _GEMMA_NAMES | {
    "layer_scalar": "layer_output_scale.weight",
    "per_layer_input_gate": "inp_gate",
    "per_layer_projection": "proj",
    "post_per_layer_input_norm": "post_norm",
    "router.proj": "ffn_gate_inp",
    "router.scale": "ffn_gate_inp.scale",
    "router.per_expert_scale": "ffn_down_exps.scale",
    "pre_feedforward_layernorm_2": "pre_ffw_norm_2",
    "post_feedforward_layernorm_1": "post_ffw_norm_1",
    "post_feedforward_layernorm_2": "post_ffw_norm_2",
}
_GLM_NAMES = {
    "post_self_attn_layernorm": "post_attention_norm",
    "post_mlp_layernorm": "post_ffw_norm",
}
_HUNYUAN_NAMES = {
    "self_attn.query_layernorm": "attn_q_norm",
    "self_attn.key_layernorm": "attn_k_norm",
}
_MAMBA_NAMES = {
    "mamba.in_proj": "ssm_in",
    "mamba.conv1d": "ssm_conv1d",
    "mamba.A_log": "ssm_a",
    "mamba.D": "ssm_d",
    "mamba.dt_bias": "ssm_dt.bias",
    "mamba.norm": "ssm_norm",
    "mamba.out_proj": "ssm_out",
}
_FALCON_H1_NAMES = _MAMBA_NAMES | {
    "feed_forward.gate_proj": "ffn_gate",
    "feed_forward.up_proj": "ffn_up",
    "feed_forward.down_proj": "ffn_down",
    "pre_ff_layernorm.weight": "ffn_norm",  # GGUF files have it without "weight"
}
_NEMOTRON_NAMES = {name.replace("mamba.", "mixer."): own for name, own in _MAMBA_NAMES.items()} | {
    "norm": "attn_norm",
    "mixer.q_proj": "attn_q",
    "mixer.k_proj": "attn_k",
    "mixer.v_proj": "attn_v",
    "mixer.o_proj": "attn_output",
    "mixer.up_proj": "ffn_up",
    "mixer.down_proj": "ffn_down",
    "mixer.gate": "ffn_gate_inp",
    "mixer.shared_experts.up_proj": "ffn_up_shexp",
    "mixer.shared_experts.down_proj": "ffn_down_shexp",
}
_NEMOTRON_EXPERTS = {
    "count": "n_routed_experts",
    "shared_size": "moe_shared_expert_intermediate_size",
    "scale": "routed_scaling_factor",
    "groups": "n_group",
    "used_groups": "topk_group",
}
_GRANITE_NAMES = _MAMBA_NAMES | {
    "shared_mlp.input_linear": "ffn_up",
    "shared_mlp.output_linear": "ffn_down",
}
_GRANITE_EXPERT_NAMES = {
    "shared_mlp.input_linear": "ffn_up_shexp",
    "shared_mlp.output_linear": "ffn_down_shexp",
    "block_sparse_moe.router.layer": "ffn_gate_inp",
}
_GRANITE_EXPERTS = {"count": "num_local_experts", "size": "intermediate_size"}
_GRANITE_SHARED = _GRANITE_EXPERTS | {"shared_size": "shared_intermediate_size"}
_LFM2_NAMES = {
    "operator_norm": "attn_norm",
    "self_attn.out_proj": "attn_output",
    "self_attn.q_layernorm": "attn_q_norm",
    "self_attn.k_layernorm": "attn_k_norm",
    "conv.conv": "shortconv.conv",
    "conv.in_proj": "shortconv.in_proj",
    "conv.out_proj": "shortconv.out_proj",
    "ffn_norm": "ffn_norm",
    "feed_forward.w1": "ffn_gate",
    "feed_forward.w3": "ffn_up",
    "feed_forward.w2": "ffn_down",
    "feed_forward.gate": "ffn_gate_inp",
}
_LFM2_EXPERTS = {
    "count": "num_experts",
    "first": "num_dense_layers",
    "scale": "routed_scaling_factor",
}
_QWEN35_NAMES = _POST_NAMES | {
    "linear_attn.in_proj_qkv": "attn_qkv",
    "linear_attn.in_proj_z": "attn_gate",
    "linear_attn.in_proj_a": "ssm_alpha",
    "linear_attn.in_proj_b": "ssm_beta",
    "linear_attn.conv1d": "ssm_conv1d",
    "linear_attn.A_log": "ssm_a",
    "linear_attn.dt_bias": "ssm_dt.bias",
    "linear_attn.norm": "ssm_norm",
    "linear_attn.out_proj": "ssm_out",
}
_QWEN3_NEXT_NAMES = _QWEN35_NAMES | {
    "linear_attn.in_proj_qkvz": "ssm_in",
    "linear_attn.in_proj_ba": "ssm_ba",
}
_QWEN_EXPERTS = {"count": "num_experts", "shared_size": "shared_expert_intermediate_size"}
_DEEPSEEK_EXPERTS = {
    "count": "n_routed_experts",
    "shared": "n_shared_experts",
    "first": "first_k_dense_replace",
    "scale": "routed_scaling_factor",
    "groups": "n_group",
    "used_groups": "topk_group",
}
_LATENT_NAMES = {
    "self_attn.q_a_proj": "attn_q_a",
    "self_attn.q_a_layernorm": "attn_q_a_norm",
    "self_attn.q_b_proj": "attn_q_b",
    "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa",
    "self_attn.kv_a_layernorm": "attn_kv_a_norm",
    "self_attn.kv_b_proj": "attn_kv_b",
}
_GEMMA4 = Kind(
    arch="gemma4",
    tied=True,
    own_head_dim=True,
    window="family",
    rope_base=1e6,
    rotary_share=1.0,
    names=_GEMMA4_NAMES,
)
_ERNIE_EXPERTS = {
    "count": "moe_num_experts",
    "used": "moe_k",
    "shared": "moe_num_shared_experts",
    "first": "moe_layer_start_index",
}
_GRANITE_MIXTURE = Kind(
    arch="granitemoe",
    multiplied=True,
    mixture=True,
    experts=_GRANITE_EXPERTS,
    names=_GRANITE_EXPERT_NAMES,
)
_DEEPSEEK = Kind(
    arch="deepseek2",
    latent=True,
    interleaved=True,
    mixture=True,
    experts=_DEEPSEEK_EXPERTS,
    names=_LATENT_NAMES,
)
KINDS = {
    "llama": Kind(arch="llama"),
    "mistral": Kind(arch="llama", window="all"),
    "mixtral": Kind(arch="llama", window="all", mixture=True),
    "smollm3": Kind(arch="smollm3", tied=True, window="unplaced", rope_base=2e6),
    "qwen2": Kind(arch="qwen2", window="late"),
    "qwen2_moe": Kind(arch="qwen2moe", mixture=True, normalized=False, experts=_QWEN_EXPERTS),
    "qwen3": Kind(arch="qwen3", window="late", own_head_dim=True),
    "qwen3_moe": Kind(arch="qwen3moe", own_head_dim=True, mixture=True),
    "gemma2": Kind(
        arch="gemma2",
        tied=True,
        own_head_dim=True,
        gemma=True,
        norms_from_zero=True,
        window="family",
        names=_GEMMA_NAMES,
    ),
    "gemma3_text": Kind(
        arch="gemma3",
        tied=True,
        own_head_dim=True,
        gemma=True,
        norms_from_zero=True,
        window="family",
        rope_base=1e6,
        names=_GEMMA_NAMES,
    ),
    "gemma4_text": _GEMMA4,
    "gemma4_unified_text": _GEMMA4,
    "phi3": Kind(arch="phi3", window="all", rotary_share=1.0),
    "ministral3": Kind(arch="mistral3", window="all", own_head_dim=True),
    "granite": Kind(arch="granite", multiplied=True),
    "granitemoe": _GRANITE_MIXTURE,
    "granitemoeshared": replace(_GRANITE_MIXTURE, experts=_GRANITE_SHARED),
    "granitemoehybrid": Kind(
        arch="granitehybrid",
        multiplied=True,
        feed_forward="shared_intermediate_size",
        names=_GRANITE_NAMES,
    ),
    "nemotron_h": Kind(arch="nemotron_h", names=_NEMOTRON_NAMES),
    "falcon_h1": Kind(arch="falcon-h1", names=_FALCON_H1_NAMES),
    "ernie4_5": Kind(
        arch="ernie4_5", tied=True, own_head_dim=True, interleaved=True, rope_base=5e5
    ),
    "glm4": Kind(
        arch="glm4", own_head_dim=True, interleaved=True, rotary_share=0.5, names=_GLM_NAMES
    ),
    "qwen2_5_vl_text": Kind(arch="qwen2vl", window="late"),
    "qwen3_vl_text": Kind(arch="qwen3vl", own_head_dim=True, rope_base=5e5),
    "gpt_oss": Kind(
        arch="gpt-oss",
        own_head_dim=True,
        window="family",
        rope_base=150_000.0,
        mixture=True,
        names=_POST_NAMES,
    ),
    "seed_oss": Kind(
        arch="seed_oss",
        own_head_dim=True,
        names=_POST_NAMES,
    ),
    "hunyuan_v1_dense": Kind(arch="hunyuan-dense", names=_HUNYUAN_NAMES),
    "olmo2": Kind(arch="olmo2", names=_AFTER_NAMES),
    "olmo3": Kind(arch="olmo2", window="family", rope_base=5e5, names=_AFTER_NAMES),
    "ernie4_5_moe": Kind(
        arch="ernie4_5-moe",
        tied=True,
        interleaved=True,
        rope_base=5e5,
        mixture=True,
        experts=_ERNIE_EXPERTS,
    ),
    "glm4_moe": Kind(
        arch="glm4moe",
        mixture=True,
        rotary_share=0.5,
        experts=_DEEPSEEK_EXPERTS,
        names=_POST_NAMES,
    ),
    "deepseek_v2": replace(_DEEPSEEK, normalized=False),
    "deepseek_v3": _DEEPSEEK,
    "glm4_moe_lite": replace(_DEEPSEEK, rotary_share=1.0),
    "dots1": Kind(arch="dots1", mixture=True, experts=_DEEPSEEK_EXPERTS),
    "minimax_m2": Kind(
        arch="minimax-m2",
        own_head_dim=True,
        mixture=True,
        rotary_share=1.0,
        experts={"count": "num_local_experts", "size": "intermediate_size"},
    ),
    "exaone4": Kind(arch="exaone4", window="family", names=_AFTER_NAMES),
    "qwen3_5_text": Kind(
        arch="qwen35",
        own_head_dim=True,
        rotary_share=0.25,
        norms_from_zero=True,
        names=_QWEN35_NAMES,
    ),
    "qwen3_5_moe_text": Kind(
        arch="qwen35moe",
        own_head_dim=True,
        rotary_share=0.25,
        norms_from_zero=True,
        feed_forward="moe_intermediate_size",
        mixture=True,
        experts=_QWEN_EXPERTS,
        names=_QWEN35_NAMES,
    ),
    "qwen3_next": Kind(
        arch="qwen3next",
        own_head_dim=True,
        rotary_share=0.25,
        norms_from_zero=True,
        mixture=True,
        experts=_QWEN_EXPERTS,
        names=_QWEN3_NEXT_NAMES,
    ),
    "lfm2": Kind(arch="lfm2", tied=True, rope_base=1e6, names=_LFM2_NAMES),
    "lfm2_moe": Kind(
        arch="lfm2moe",
        tied=True,
        rope_base=1e6,
        mixture=True,
        experts=_LFM2_EXPERTS,
        names=_LFM2_NAMES,
    ),
}
"""By `model_type`."""
MIXTURES = {
    "granitemoehybrid": replace(
        KINDS["granitemoehybrid"],
        feed_forward="intermediate_size",
        mixture=True,
        experts=_GRANITE_SHARED,
        names=_MAMBA_NAMES | _GRANITE_EXPERT_NAMES,
    ),
    "nemotron_h": replace(
        KINDS["nemotron_h"],
        arch="nemotron_h_moe",
        feed_forward="moe_intermediate_size",
        mixture=True,
        experts=_NEMOTRON_EXPERTS,
    ),
    "gemma4_text": replace(
        _GEMMA4,
        mixture=True,
        experts={"count": "num_experts", "used": "top_k_experts", "size": "moe_intermediate_size"},
    ),
}
"""By `model_type`: the kind that replaces the one in KINDS if config.json states experts."""
