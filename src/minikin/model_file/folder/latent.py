"""config.json of models with latent attention.

The meaning of each key is that of transformers' DeepseekV2Config, DeepseekV3Config and
Glm4MoeLiteConfig.
"""

from __future__ import annotations

from typing import Any

from minikin.model_file.folder.config import ConfigFields
from minikin.model_file.folder.kinds import Kind

_MOST_WIDTH, _MOST_LAYERS = 1 << 20, 1024


def latent_fields(fields: ConfigFields, kind: Kind) -> ConfigFields:
    """The same, with the names that other families use. Raises ModelFileError."""
    if not kind.latent:
        return fields
    if not fields.flag("rope_interleave", True):
        raise fields.wrong("rope_interleave")
    if (kinds := fields.get("mlp_layer_types")) is None:
        if fields.get("model_type") != "glm4_moe_lite":
            return fields
        return fields.joined({"first_k_dense_replace": 1})
    layers = fields.whole("num_hidden_layers", most=_MOST_LAYERS)
    first = kinds.count("dense") if isinstance(kinds, list) else 0
    if kinds != ["dense"] * first + ["sparse"] * (layers - first):
        raise fields.wrong("mlp_layer_types")
    return fields.joined({"first_k_dense_replace": first})


def latent_shape(fields: ConfigFields, kind: Kind) -> dict[str, Any]:
    """What GGUF files say of latent attention. Raises ModelFileError."""
    if not kind.latent:
        return {}
    heads = fields.whole("num_attention_heads")
    if fields.whole("num_key_value_heads", heads) != heads:
        raise fields.wrong("num_key_value_heads")
    queries = fields.count("q_lora_rank", most=_MOST_WIDTH)
    return {
        "attention.value_length": fields.whole("v_head_dim", most=_MOST_WIDTH),
        "attention.kv_lora_rank": fields.whole("kv_lora_rank", most=_MOST_WIDTH),
        "expert_gating_func": 1 if fields.get("model_type") == "deepseek_v2" else 2,
    } | ({"attention.q_lora_rank": queries} if queries else {})
