"""A tiny random model of each family, made with transformers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import transformers
from gguf.constants import MODEL_ARCH

VOCABULARY = 256
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}


@dataclass(frozen=True)
class Tiny:
    """How to make one model, and what its GGUF file says besides the sizes."""

    arch: MODEL_ARCH
    model: str
    """The prefix of transformers' class."""
    config: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    """Under the architecture's name."""
    tensors: dict[str, list[float]] = field(default_factory=dict)
    side_by_side: bool = False
    joined_heads: bool = False
    """Of latent attention: the matrices of keys and values are one tensor, as in old files."""
    vision: dict[str, Any] = field(default_factory=dict)
    """The sizes of a part that sees. Text does not pass through it."""
    norms_from_zero: bool = False
    """transformers adds 1 to the norms' weights; GGUF files have it added."""

    def make(self) -> transformers.PreTrainedModel:
        torch.manual_seed(7)
        task = "ForConditionalGeneration" if self.vision else "ForCausalLM"
        kind = getattr(transformers, f"{self.model}{task}")
        sizes = SIZES | self.config
        if self.vision:
            sizes = {"text_config": sizes, "vision_config": self.vision, **VISION_TOKENS}
        model = kind(kind.config_class(**sizes)).eval()
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name.endswith(AROUND_ONE):
                    weight += torch.randn_like(weight) * 0.2
                else:
                    weight.normal_(0, 0.2 if weight.ndim == 1 else weight.shape[-1] ** -0.5)
                if name.endswith("q_norm.weight") and self.model.startswith("Gemma4"):
                    weight *= 64**-0.5  # their products with keys have no other factor
            for name, values in model.named_buffers():
                if name.endswith(("e_score_correction_bias", "expert_bias")):
                    values.normal_(0, 0.2)
                if name.endswith("layer_scalar"):
                    values.uniform_(0.5, 1.5)
        model.tie_weights()
        return model


AROUND_ONE = (
    "norm.weight", "norm_f.weight", "norm_1.weight", "norm_2.weight", "router.scale",
    "router.per_expert_scale",
)  # fmt: skip
"""The ends of the names of factors."""
MARKS = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
VISION_TOKENS = dict.fromkeys(MARKS, VOCABULARY + 1)
"""Outside of the vocabulary, so that no text has them."""
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 10_000.0, "factor": 8.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
}  # fmt: skip
LONG, SHORT = [1.0 + i for i in range(24)], [1.0 + 0.1 * i for i in range(24)]
LONGROPE = {
    "rope_type": "longrope", "rope_theta": 10_000.0, "long_factor": LONG, "short_factor": SHORT,
    "original_max_position_embeddings": 32, "factor": 8.0, "partial_rotary_factor": 0.75,
}  # fmt: skip
THETA = {"rope_type": "default", "rope_theta": 10_000.0}
YARN = {
    "rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
DEEPSEEK = {
    "moe_intermediate_size": 64, "n_routed_experts": 8, "num_experts_per_tok": 3,
    "first_k_dense_replace": 1, "norm_topk_prob": True, "routed_scaling_factor": 1.5,
}  # fmt: skip
DEEPSEEK_GGUF = {
    "expert_count": 8, "expert_used_count": 3, "expert_feed_forward_length": 64,
    "leading_dense_block_count": 1, "expert_gating_func": 2, "expert_weights_scale": 1.5,
}  # fmt: skip
LATENT = DEEPSEEK | {
    "num_key_value_heads": 4, "kv_lora_rank": 64, "q_lora_rank": None, "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 32, "v_head_dim": 32, "n_group": 1, "topk_group": 1,
}  # fmt: skip
DEEPSEEK_YARN = YARN | {"mscale": 0.707, "mscale_all_dim": 0.707}
GRANITE = {
    "embedding_multiplier": 12.0, "residual_multiplier": 0.22, "logits_scaling": 8.0,
    "attention_multiplier": 0.015625,
}  # fmt: skip
GRANITE_GGUF = {
    "embedding_scale": 12.0, "residual_scale": 0.22, "logit_scale": 8.0,
    "attention.scale": 0.015625,
}  # fmt: skip
GRANITE_EXPERTS = {
    "intermediate_size": 64, "num_local_experts": 8, "num_experts_per_tok": 3,
}  # fmt: skip
MAMBA = {
    "mamba_n_heads": 4, "mamba_d_head": 32, "mamba_d_state": 16, "mamba_n_groups": 2,
    "mamba_chunk_size": 16,
}  # fmt: skip
MAMBA_GGUF = {
    "ssm.conv_kernel": 4, "ssm.state_size": 16, "ssm.group_count": 2, "ssm.time_step_rank": 4,
    "ssm.inner_size": 128,
}  # fmt: skip
NEMOTRON = {
    "head_dim": 32, "mamba_num_heads": 4, "mamba_head_dim": 48, "ssm_state_size": 16, "n_groups": 2,
    "chunk_size": 16,
}  # fmt: skip
NEMOTRON_GGUF = {
    "attention.head_count_kv": [0, 0, 2, 0], "ssm.conv_kernel": 4, "ssm.state_size": 16,
    "ssm.group_count": 2, "ssm.time_step_rank": 4, "ssm.inner_size": 192,
}  # fmt: skip
FALCON_H1 = MAMBA | {
    "head_dim": 32, "mamba_d_ssm": 128, "attention_in_multiplier": 0.75,
    "attention_out_multiplier": 0.5, "key_multiplier": 0.4, "embedding_multiplier": 5.5,
    "lm_head_multiplier": 0.3, "mlp_multipliers": [0.8, 0.6], "ssm_in_multiplier": 1.25,
    "ssm_out_multiplier": 0.25, "ssm_multipliers": [0.35, 0.25, 0.7, 0.5, 0.9],
}  # fmt: skip
PIXTRAL = {
    "model_type": "pixtral", "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1,
    "num_attention_heads": 2, "image_size": 32, "patch_size": 16,
}  # fmt: skip
GPT_OSS_ROPE = {
    "rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0, "truncate": False,
    "original_max_position_embeddings": 64,
}  # fmt: skip
GEMMA3_ROPE = {
    "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
}
GEMMA4_LAYERS = ["sliding_attention", "sliding_attention", "full_attention"] * 2
GEMMA4 = {
    "num_hidden_layers": 6, "layer_types": GEMMA4_LAYERS, "head_dim": 32, "global_head_dim": 64,
    "sliding_window": 20, "final_logit_softcapping": 3.0,
    "rope_parameters": {
        "sliding_attention": THETA,
        "full_attention": {
            "rope_type": "proportional", "rope_theta": 1e6, "partial_rotary_factor": 0.25,
        },
    },
}  # fmt: skip
GEMMA4_GGUF = {
    "attention.key_length": 64, "attention.value_length": 64, "attention.key_length_swa": 32,
    "attention.value_length_swa": 32, "attention.head_count_kv": 2,
    "attention.sliding_window": 20,
    "attention.sliding_window_pattern": [True, True, False] * 2, "attention.shared_kv_layers": 0,
    "embedding_length_per_layer_input": 0, "rope.freq_base": 1e6, "rope.freq_base_swa": 1e4,
    "rope.dimension_count": 64, "rope.dimension_count_swa": 32, "final_logit_softcapping": 3.0,
}  # fmt: skip
GEMMA4_FACTORS = {"rope_freqs.weight": [1.0] * 8 + [1e30] * 24}
"""As llama.cpp's converter writes them: a quarter of a head turns."""

FAMILIES = {
    "Llama 2": Tiny(MODEL_ARCH.LLAMA, "Llama", side_by_side=True),
    "Llama 3.1": Tiny(
        MODEL_ARCH.LLAMA,
        "Llama",
        {"rope_parameters": LLAMA3, "tie_word_embeddings": True},
        tensors={"rope_freqs.weight": []},
        side_by_side=True,
    ),
    "Mistral": Tiny(
        MODEL_ARCH.LLAMA,
        "Mistral",
        {"head_dim": 32, "sliding_window": 20},
        {"attention.sliding_window": 20},
        side_by_side=True,
    ),
    "Mixtral": Tiny(
        MODEL_ARCH.LLAMA,
        "Mixtral",
        {"num_local_experts": 4, "num_experts_per_tok": 2},
        {"expert_count": 4, "expert_used_count": 2},
        side_by_side=True,
    ),
    "Ministral 3": Tiny(
        MODEL_ARCH.MISTRAL3,
        "Mistral3",
        {
            "model_type": "ministral3", "head_dim": 32, "sliding_window": None,
            "rope_parameters": {
                "rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0,
                "original_max_position_embeddings": 64, "mscale": 1.0, "mscale_all_dim": 1.0,
                "llama_4_scaling_beta": 0.1,
            },
        },
        {
            "rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
            "rope.scaling.original_context_length": 64, "rope.scaling.yarn_log_multiplier": 1.0,
            "attention.temperature_scale": 0.1,
        },
        vision=PIXTRAL,
        side_by_side=True,
    ),
    "Granite": Tiny(
        MODEL_ARCH.GRANITE,
        "Granite",
        GRANITE,
        GRANITE_GGUF,
        side_by_side=True,
    ),
    "Granite 3 MoE": Tiny(
        MODEL_ARCH.GRANITE_MOE,
        "GraniteMoe",
        GRANITE | GRANITE_EXPERTS,
        GRANITE_GGUF | {"expert_count": 8, "expert_used_count": 3},
        side_by_side=True,
    ),
    "Granite 3 MoE with a shared expert": Tiny(
        MODEL_ARCH.GRANITE_MOE,
        "GraniteMoeShared",
        GRANITE | GRANITE_EXPERTS | {"shared_intermediate_size": 128},
        GRANITE_GGUF
        | {
            "expert_count": 8, "expert_used_count": 3, "expert_shared_feed_forward_length": 128,
        },
        side_by_side=True,
    ),
    "Granite 4 Micro": Tiny(
        MODEL_ARCH.GRANITE,
        "GraniteMoeHybrid",
        GRANITE | {
            "layer_types": ["attention"] * 3, "position_embedding_type": "rope",
            "shared_intermediate_size": 96, "num_local_experts": 0, "num_experts_per_tok": 0,
        },
        GRANITE_GGUF,
        side_by_side=True,
    ),
    "Granite 4 Hybrid": Tiny(
        MODEL_ARCH.GRANITE_HYBRID,
        "GraniteMoeHybrid",
        GRANITE | MAMBA | {
            "layer_types": ["linear_attention", "full_attention", "linear_attention"],
            "position_embedding_type": "nope", "shared_intermediate_size": 96,
            "num_local_experts": 0, "num_experts_per_tok": 0,
        },
        GRANITE_GGUF | MAMBA_GGUF | {"rope.scaling.finetuned": False},
    ),
    "Granite 4 Hybrid MoE": Tiny(
        MODEL_ARCH.GRANITE_HYBRID,
        "GraniteMoeHybrid",
        GRANITE | MAMBA | {
            "layer_types": ["linear_attention", "full_attention", "linear_attention"],
            "position_embedding_type": "nope", "intermediate_size": 64,
            "shared_intermediate_size": 128, "num_local_experts": 8, "num_experts_per_tok": 3,
            "mamba_n_groups": 1,
        },
        GRANITE_GGUF | MAMBA_GGUF | {
            "rope.scaling.finetuned": False, "ssm.group_count": 1, "expert_count": 8,
            "expert_used_count": 3, "expert_shared_feed_forward_length": 128,
        },
    ),
    "Falcon-H1": Tiny(
        MODEL_ARCH.FALCON_H1,
        "FalconH1",
        FALCON_H1,
        MAMBA_GGUF,
    ),
    "Falcon-H1 with norms": Tiny(
        MODEL_ARCH.FALCON_H1,
        "FalconH1",
        FALCON_H1 | {"mamba_rms_norm": True, "mamba_norm_before_gate": False},
        MAMBA_GGUF,
    ),
    "Nemotron Nano 9B v2": Tiny(
        MODEL_ARCH.NEMOTRON_H,
        "NemotronH",
        NEMOTRON
        | {
            "layers_block_type": ["linear_attention", "mlp", "full_attention", "mlp"],
            "use_bias": True, "mlp_bias": True,
        },
        NEMOTRON_GGUF | {"feed_forward_length": [0, 96, 0, 96]},
    ),
    "Nemotron 3 Nano": Tiny(
        MODEL_ARCH.NEMOTRON_H_MOE,
        "NemotronH",
        NEMOTRON
        | {
            "layers_block_type": ["linear_attention", "moe", "full_attention", "moe"],
            "n_routed_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 64,
            "moe_shared_expert_intermediate_size": 128, "routed_scaling_factor": 2.5,
            "n_group": 4, "topk_group": 2,
        },
        NEMOTRON_GGUF
        | {
            "feed_forward_length": [0, 64, 0, 64], "expert_count": 8, "expert_used_count": 3,
            "expert_feed_forward_length": 64, "expert_shared_feed_forward_length": 128,
            "expert_shared_count": 1, "expert_weights_norm": True, "expert_weights_scale": 2.5,
            "expert_group_count": 4, "expert_group_used_count": 2,
        },
    ),
    "ERNIE 4.5": Tiny(MODEL_ARCH.ERNIE4_5, "Ernie4_5", {"head_dim": 32, "use_bias": True}),
    "GLM-4": Tiny(
        MODEL_ARCH.GLM4, "Glm4", {"head_dim": 32}, {"rope.dimension_count": 16}
    ),
    "SmolLM3": Tiny(
        MODEL_ARCH.SMOLLM3, "SmolLM3", {"num_hidden_layers": 5}, side_by_side=True
    ),
    "Qwen2": Tiny(MODEL_ARCH.QWEN2, "Qwen2"),
    "Qwen2.5 YaRN": Tiny(
        MODEL_ARCH.QWEN2,
        "Qwen2",
        {
            "rope_parameters": {
                "rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0,
                "original_max_position_embeddings": 64,
            }
        },
        {
            "rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
            "rope.scaling.original_context_length": 64,
        },
    ),
    "Qwen2-MoE": Tiny(
        MODEL_ARCH.QWEN2MOE,
        "Qwen2Moe",
        {
            "num_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 64,
            "shared_expert_intermediate_size": 128,
        },
        {
            "expert_count": 8, "expert_used_count": 3, "expert_feed_forward_length": 64,
            "expert_shared_feed_forward_length": 128,
        },
    ),
    "Qwen3": Tiny(MODEL_ARCH.QWEN3, "Qwen3", {"head_dim": 32}),
    "Qwen2.5-VL": Tiny(
        MODEL_ARCH.QWEN2VL,
        "Qwen2_5_VL",
        {
            "hidden_size": 128, "num_attention_heads": 2, "num_key_value_heads": 1,
            "rope_parameters": THETA | {"mrope_section": [8, 12, 12]},
        },
        vision={"depth": 1, "hidden_size": 32, "num_heads": 2, "out_hidden_size": 128},
    ),
    "Qwen3-VL": Tiny(
        MODEL_ARCH.QWEN3VL,
        "Qwen3VL",
        {
            "head_dim": 32,
            "rope_parameters": THETA | {"mrope_section": [4, 6, 6]},
        },
        vision={
            "depth": 1, "hidden_size": 32, "num_heads": 2, "out_hidden_size": 64,
            "intermediate_size": 32, "deepstack_visual_indexes": [0],
        },
    ),
    "Seed-OSS": Tiny(MODEL_ARCH.SEED_OSS, "SeedOss", {"head_dim": 32}),
    "Hunyuan": Tiny(
        MODEL_ARCH.HUNYUAN_DENSE,
        "HunYuanDenseV1",
        {
            "head_dim": 32,
            "rope_parameters": THETA | {"rope_type": "dynamic", "factor": 1.0, "alpha": 1000.0},
        },
        {"rope.freq_base": 1e4 * 1000.0 ** (32 / 30)},
    ),
    "OLMo 2": Tiny(MODEL_ARCH.OLMO2, "Olmo2"),
    "OLMo 3": Tiny(
        MODEL_ARCH.OLMO2,
        "Olmo3",
        {
            "num_hidden_layers": 5, "sliding_window": 20,
            "rope_parameters": {"full_attention": YARN, "sliding_attention": THETA},
        },
        {
            "attention.sliding_window": 20, "rope.freq_base": 1e4, "rope.scaling.type": "yarn",
            "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 64,
        },
    ),
    "EXAONE 4": Tiny(
        MODEL_ARCH.EXAONE4,
        "Exaone4",
        {"num_hidden_layers": 5, "sliding_window": 20, "rope_parameters": LLAMA3},
        {"attention.sliding_window": 20},
        tensors={"rope_freqs.weight": []},
    ),
    "EXAONE 4 1.2B": Tiny(
        MODEL_ARCH.EXAONE4,
        "Exaone4",
        {"sliding_window": None, "layer_types": ["full_attention"] * 3},
    ),
    "Qwen3-MoE": Tiny(
        MODEL_ARCH.QWEN3MOE,
        "Qwen3Moe",
        {
            "head_dim": 32, "moe_intermediate_size": 64, "num_experts": 8,
            "num_experts_per_tok": 3, "norm_topk_prob": True,
        },
        {"expert_count": 8, "expert_used_count": 3, "expert_feed_forward_length": 64},
    ),
    "Gemma 2": Tiny(
        MODEL_ARCH.GEMMA2,
        "Gemma2",
        {
            "head_dim": 32, "query_pre_attn_scalar": 24, "sliding_window": 20,
            "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0,
        },
        {
            "attention.sliding_window": 20, "attention.scale": 24**-0.5,
            "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0,
        },
        norms_from_zero=True,
    ),
    "Gemma 3": Tiny(
        MODEL_ARCH.GEMMA3,
        "Gemma3",
        {
            "num_hidden_layers": 7, "head_dim": 32, "query_pre_attn_scalar": 32,
            "sliding_window": 20, "rope_parameters": GEMMA3_ROPE,
        },
        {
            "attention.sliding_window": 20, "rope.freq_base": 1e6,
            "rope.scaling.type": "linear", "rope.scaling.factor": 8.0,
        },
        norms_from_zero=True,
    ),
    "Gemma 4": Tiny(
        MODEL_ARCH.GEMMA4,
        "Gemma4",
        GEMMA4
        | {
            "attention_k_eq_v": True, "num_global_key_value_heads": 1,
            "hidden_size_per_layer_input": 0,
        },
        GEMMA4_GGUF | {"attention.head_count_kv": [2, 2, 1] * 2},
        GEMMA4_FACTORS,
    ),
    "Gemma 4 E2B": Tiny(
        MODEL_ARCH.GEMMA4,
        "Gemma4",
        GEMMA4
        | {
            "num_kv_shared_layers": 2, "use_double_wide_mlp": True,
            "hidden_size_per_layer_input": 32, "vocab_size_per_layer_input": VOCABULARY,
            "layer_types": [
                "sliding_attention", "full_attention", "sliding_attention", "full_attention",
                "sliding_attention", "full_attention",
            ],
        },
        GEMMA4_GGUF
        | {
            "attention.sliding_window_pattern": [True, False] * 3, "attention.shared_kv_layers": 2,
            "embedding_length_per_layer_input": 32, "feed_forward_length": [96] * 4 + [192] * 2,
        },
        # Files have the keys of layers that do not use them.
        GEMMA4_FACTORS | {"blk.5.attn_k_norm.weight": [1.0] * 64},
    ),
    "Gemma 4 26B-A4B": Tiny(
        MODEL_ARCH.GEMMA4,
        "Gemma4",
        GEMMA4
        | {
            "attention_k_eq_v": True, "num_global_key_value_heads": 1,
            "hidden_size_per_layer_input": 0, "enable_moe_block": True, "num_experts": 8,
            "top_k_experts": 3, "moe_intermediate_size": 64, "num_hidden_layers": 3,
            "layer_types": GEMMA4_LAYERS[:3],
        },
        GEMMA4_GGUF
        | {
            "attention.head_count_kv": [2, 2, 1], "expert_count": 8, "expert_used_count": 3,
            "expert_feed_forward_length": 64,
            "attention.sliding_window_pattern": [True, True, False],
        },
        GEMMA4_FACTORS,
    ),
    "Gemma 4 12B": Tiny(
        MODEL_ARCH.GEMMA4,
        "Gemma4Unified",
        GEMMA4 | {"attention_k_eq_v": True, "num_global_key_value_heads": 1},
        GEMMA4_GGUF | {"attention.head_count_kv": [2, 2, 1] * 2},
        GEMMA4_FACTORS,
    ),
    "Phi-3": Tiny(
        MODEL_ARCH.PHI3, "Phi3", {"sliding_window": 20}, {"attention.sliding_window": 20}
    ),
    "Phi-4-mini": Tiny(
        MODEL_ARCH.PHI3,
        "Phi3",
        {
            "hidden_size": 128, "num_attention_heads": 2, "num_key_value_heads": 1,
            "rope_parameters": LONGROPE, "original_max_position_embeddings": 32,
            "tie_word_embeddings": True,
        },
        {
            "rope.dimension_count": 48, "rope.scaling.original_context_length": 32,
            "rope.scaling.attn_factor": (1 + np.log(8) / np.log(32)) ** 0.5,
        },
        tensors={"rope_factors_long.weight": LONG, "rope_factors_short.weight": SHORT},
    ),
    "Qwen3.5": Tiny(
        MODEL_ARCH.QWEN35,
        "Qwen3_5",
        {
            "num_hidden_layers": 4, "head_dim": 32,
            "layer_types": ["linear_attention"] * 2 + ["full_attention", "linear_attention"],
            "linear_num_key_heads": 2, "linear_num_value_heads": 4,
            "linear_key_head_dim": 16, "linear_value_head_dim": 32,
            "rope_parameters": THETA | {"partial_rotary_factor": 0.25},
        },
        {
            "full_attention_interval": 3, "rope.dimension_count": 8, "ssm.conv_kernel": 4,
            "ssm.state_size": 16, "ssm.group_count": 2, "ssm.time_step_rank": 4,
            "ssm.inner_size": 128,
        },
        norms_from_zero=True,
    ),
    "Qwen3.5-MoE": Tiny(
        MODEL_ARCH.QWEN35MOE,
        "Qwen3_5Moe",
        {
            "num_hidden_layers": 4, "head_dim": 32,
            "layer_types": ["linear_attention"] * 2 + ["full_attention", "linear_attention"],
            "linear_num_key_heads": 2, "linear_num_value_heads": 4,
            "linear_key_head_dim": 16, "linear_value_head_dim": 32,
            "rope_parameters": THETA | {"partial_rotary_factor": 0.25},
            "num_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 64,
            "shared_expert_intermediate_size": 128,
        },
        {
            "full_attention_interval": 3, "rope.dimension_count": 8, "ssm.conv_kernel": 4,
            "ssm.state_size": 16, "ssm.group_count": 2, "ssm.time_step_rank": 4,
            "ssm.inner_size": 128, "expert_count": 8, "expert_used_count": 3,
            "expert_feed_forward_length": 64, "expert_shared_feed_forward_length": 128,
        },
        norms_from_zero=True,
    ),
    "Qwen3-Next": Tiny(
        MODEL_ARCH.QWEN3NEXT,
        "Qwen3Next",
        {
            "num_hidden_layers": 4, "head_dim": 32,
            "layer_types": ["linear_attention"] * 2 + ["full_attention", "linear_attention"],
            "linear_num_key_heads": 2, "linear_num_value_heads": 4,
            "linear_key_head_dim": 16, "linear_value_head_dim": 32,
            "rope_parameters": THETA | {"partial_rotary_factor": 0.25},
            "num_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 64,
            "shared_expert_intermediate_size": 64,
        },
        {
            "attention.recurrent_layers": [True, True, False, True],
            "rope.dimension_count": 8, "ssm.conv_kernel": 4,
            "ssm.state_size": 16, "ssm.group_count": 2, "ssm.time_step_rank": 4,
            "ssm.inner_size": 128, "expert_count": 8, "expert_used_count": 3,
            "expert_feed_forward_length": 64, "expert_shared_feed_forward_length": 64,
        },
        norms_from_zero=True,
    ),
    "LFM2": Tiny(
        MODEL_ARCH.LFM2,
        "Lfm2",
        {
            "num_hidden_layers": 5, "block_auto_adjust_ff_dim": False,
            "layer_types": ["conv", "conv", "full_attention", "conv", "full_attention"],
        },
        {"shortconv.l_cache": 3},
    ),
    "LFM2-MoE": Tiny(
        MODEL_ARCH.LFM2MOE,
        "Lfm2Moe",
        {
            "num_hidden_layers": 5, "num_dense_layers": 1, "num_experts": 8,
            "num_experts_per_tok": 3, "moe_intermediate_size": 64,
            "layer_types": ["conv", "conv", "full_attention", "conv", "full_attention"],
        },
        {
            "shortconv.l_cache": 3, "expert_count": 8, "expert_used_count": 3,
            "expert_feed_forward_length": 64, "leading_dense_block_count": 1,
            "expert_gating_func": 2,
        },
    ),
    "ERNIE 4.5 MoE": Tiny(
        MODEL_ARCH.ERNIE4_5_MOE,
        "Ernie4_5_Moe",
        {
            "moe_intermediate_size": 64, "moe_num_experts": 8, "moe_k": 3,
            "moe_num_shared_experts": 2, "moe_layer_start_index": 1,
        },
        {
            "expert_count": 8, "expert_used_count": 3, "expert_feed_forward_length": 64,
            "expert_shared_count": 2, "leading_dense_block_count": 1,
        },
    ),
    "GLM-4.5": Tiny(
        MODEL_ARCH.GLM4_MOE,
        "Glm4Moe",
        DEEPSEEK | {"head_dim": 32, "n_shared_experts": 1, "use_qk_norm": True},
        DEEPSEEK_GGUF
        | {"expert_shared_count": 1, "rope.dimension_count": 16, "nextn_predict_layers": 1},
        # Of a layer that predicts further tokens, which nothing uses.
        tensors={"blk.3.nextn.enorm.weight": [1.0] * 64},
    ),
    "GLM-4.5-Air": Tiny(
        MODEL_ARCH.GLM4_MOE,
        "Glm4Moe",
        DEEPSEEK | {"head_dim": 32, "n_shared_experts": 1, "attention_bias": True},
        DEEPSEEK_GGUF | {"expert_shared_count": 1, "rope.dimension_count": 16},
    ),
    "DeepSeek-V2-Lite": Tiny(
        MODEL_ARCH.DEEPSEEK2,
        "DeepseekV2",
        LATENT
        | {
            "n_shared_experts": 2, "norm_topk_prob": False, "routed_scaling_factor": 1.0,
            "rope_parameters": DEEPSEEK_YARN,
        },
        {
            "expert_count": 8, "expert_used_count": 3, "expert_feed_forward_length": 64,
            "leading_dense_block_count": 1, "expert_shared_count": 2,
            "rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
            "rope.scaling.original_context_length": 64,
            "rope.scaling.yarn_log_multiplier": 0.0707,
        },
        joined_heads=True,
    ),
    "DeepSeek-V3": Tiny(
        MODEL_ARCH.DEEPSEEK2,
        "DeepseekV3",
        LATENT | {"n_shared_experts": 2, "n_group": 4, "topk_group": 2},
        DEEPSEEK_GGUF
        | {
            "expert_shared_count": 2, "expert_weights_norm": True, "expert_group_count": 4,
            "expert_group_used_count": 2,
        },
    ),
    "GLM-4.7-Flash": Tiny(
        MODEL_ARCH.DEEPSEEK2,
        "Glm4MoeLite",
        LATENT
        | {
            "n_shared_experts": 1, "q_lora_rank": 32, "qk_nope_head_dim": 64, "v_head_dim": 96,
        },
        DEEPSEEK_GGUF | {"expert_shared_count": 1, "expert_weights_norm": True},
    ),
    "dots.llm1": Tiny(
        MODEL_ARCH.DOTS1,
        "Dots1",
        DEEPSEEK | {"n_shared_experts": 2, "sliding_window": None},
        DEEPSEEK_GGUF | {"expert_shared_count": 2},
    ),
    "MiniMax-M2": Tiny(
        MODEL_ARCH.MINIMAXM2,
        "MiniMaxM2",
        {
            "head_dim": 32, "intermediate_size": 64, "num_local_experts": 8,
            "num_experts_per_tok": 3, "rotary_dim": 16,
        },
        {
            "expert_count": 8, "expert_used_count": 3, "expert_feed_forward_length": 64,
            "rope.dimension_count": 16,
        },
    ),
    "gpt-oss": Tiny(
        MODEL_ARCH.GPT_OSS,
        "GptOss",
        {
            "num_hidden_layers": 4, "head_dim": 32, "sliding_window": 20,
            "num_local_experts": 8, "num_experts_per_tok": 3, "rope_parameters": GPT_OSS_ROPE,
        },
        {
            "expert_count": 8, "expert_used_count": 3, "expert_feed_forward_length": 96,
            "attention.sliding_window": 20, "rope.scaling.type": "yarn",
            "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 64,
        },
    ),
}  # fmt: skip
STATEFUL = frozenset(
    {
        "LFM2", "LFM2-MoE", "Qwen3.5", "Qwen3.5-MoE", "Qwen3-Next", "Granite 4 Hybrid",
        "Granite 4 Hybrid MoE", "Falcon-H1", "Falcon-H1 with norms", "Nemotron Nano 9B v2",
        "Nemotron 3 Nano",
    }
)  # fmt: skip
"""Some of their layers have a state in place of keys and values."""
OWN_HEADS = frozenset(
    name
    for name, tiny in FAMILIES.items()
    if {"kv_lora_rank", "global_head_dim"} & tiny.config.keys()
)
"""Their heads have several sizes, which all fit the native kernels."""
MIXTURES = frozenset(name for name, tiny in FAMILIES.items() if "expert_count" in tiny.metadata)
"""Their rows change much if a near tie of two experts goes to the other one."""
