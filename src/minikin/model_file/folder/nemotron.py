"""config.json of Nemotron-H: each layer is Mamba, attention, a feed-forward or a mixture.

The meaning of each key and its default are those of transformers' NemotronHConfig. Steps of Mamba
have no least size: transformers has one for prompts, but neither NVIDIA's own code nor llama.cpp.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minikin.errors import ModelFileError
from minikin.model_file.folder.config import ConfigFields
from minikin.model_file.folder.kinds import Kind

ARCHITECTURES = ("nemotron_h", "nemotron_h_moe")
_MOST_LAYERS = 1024
_LETTERS = {"M": "mamba", "*": "attention", "-": "mlp", "E": "moe"}
_NEWER = {"linear_attention": "mamba", "full_attention": "attention"}
_ONLY = {
    "mlp_hidden_act": "relu2",
    "mamba_hidden_act": "silu",
    "moe_latent_size": None,
    "n_shared_experts": 1,
}
"""What the decoder computes of values that can be others."""


def usual_fields(fields: ConfigFields) -> ConfigFields:
    """The same, with the names that other families use. Raises ModelFileError."""
    for key, value in _ONLY.items():
        if fields.get(key) not in (None, value):
            raise fields.wrong(key)
    return fields.joined(
        {
            "num_hidden_layers": len(_kinds(fields)),
            "rms_norm_eps": fields.number("layer_norm_epsilon", 1e-5),
            "head_dim": fields.whole("head_dim", fields.whole("attention_head_dim", 128)),
            "mamba_n_heads": fields.whole("mamba_num_heads", 128),
            "mamba_d_head": fields.whole("mamba_head_dim", 64),
            "mamba_d_state": fields.whole("ssm_state_size", 128),
            "mamba_d_conv": fields.whole("conv_kernel", 4),
            "mamba_n_groups": fields.whole("n_groups", 8),
        }
    )


def layer_sizes(fields: ConfigFields, kind: Kind) -> dict[str, Any]:
    """The key heads and the feed-forward of each layer, or 0. Raises ModelFileError."""
    kinds = np.array(_kinds(fields))
    if kind.mixture and "mlp" in kinds:
        raise _wrong_kinds(fields)
    heads = fields.whole("num_key_value_heads", fields.whole("num_attention_heads"))
    size = fields.whole(kind.feed_forward)
    return {
        "attention.head_count_kv": heads * (kinds == "attention"),
        "feed_forward_length": size * np.isin(kinds, ("mlp", "moe")),
    }


def _kinds(fields: ConfigFields) -> list[str]:
    """The kind of each layer, by its older name."""
    stated = fields.get("layers_block_type") or fields.get("hybrid_override_pattern")
    if isinstance(stated, str):
        kinds = [_LETTERS.get(letter) for letter in stated]
    else:
        names = stated if isinstance(stated, list) else [None]
        kinds = [_NEWER.get(name, name) if isinstance(name, str) else None for name in names]
    known = _LETTERS.values()
    found = [kind for kind in kinds if kind is not None and kind in known]
    if not 0 < len(found) <= _MOST_LAYERS or len(found) < len(kinds):
        raise _wrong_kinds(fields)
    return found


def _wrong_kinds(fields: ConfigFields) -> ModelFileError:
    listed = fields.get("layers_block_type") is not None
    return fields.wrong("layers_block_type" if listed else "hybrid_override_pattern")
