"""config.json of models with layers that have a state in place of keys and values.

The meaning of each key and its default are those of transformers' Lfm2Config, Lfm2MLP,
Qwen3_5TextConfig, GraniteMoeHybridConfig, FalconH1Config and NemotronHConfig.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minikin.model_file.folder import nemotron
from minikin.model_file.folder.config import ConfigFields
from minikin.model_file.folder.falcon_h1 import check_computed, inner_size
from minikin.model_file.folder.kinds import Kind

_MOST_LAYERS, _MOST_HEADS = 1024, 1024
_ATTENTION = ("full_attention", "attention")
"""How layers are called that are attention, in newer and in older files."""
_ANY_SIZE = [0.0, math.inf], [0.0, {"__float__": "Infinity"}]
"""How files say that the size of a step has no limit."""


def usual_fields(fields: ConfigFields, kind: Kind) -> ConfigFields:
    """The same, with the names that other families use. Raises ModelFileError."""
    if kind.arch in nemotron.ARCHITECTURES:
        return nemotron.usual_fields(fields)
    if kind.arch not in ("lfm2", "lfm2moe"):
        return fields
    return fields.joined(
        {
            "rms_norm_eps": fields.number("norm_eps", 1e-5),
            "intermediate_size": _feed_forward(fields, kind),
            "tie_word_embeddings": fields.flag(
                "tie_embedding", fields.flag("tie_word_embeddings", True)
            ),
        }
    )


def state_shape(fields: ConfigFields, kind: Kind) -> dict[str, Any]:
    """What GGUF files say of layers without key heads. Raises ModelFileError."""
    if kind.arch in ("lfm2", "lfm2moe"):
        return _key_heads(fields, "conv") | _convolutions(fields)
    if kind.arch in ("qwen35", "qwen35moe", "qwen3next"):
        return _key_heads(fields, "linear_attention") | _delta_nets(fields)
    if kind.arch == "falcon-h1":
        check_computed(fields)
        return _mamba(fields, inner_size(fields))
    if kind.arch in nemotron.ARCHITECTURES:
        return _mamba(fields, 0) | nemotron.layer_sizes(fields, kind)
    if kind.arch == "granitehybrid":
        inner = fields.whole("mamba_expand", 2) * fields.whole("hidden_size")
        placed = {"rope.scaling.finetuned": fields.get("position_embedding_type") == "rope"}
        return _key_heads(fields, "linear_attention", "mamba") | _mamba(fields, inner) | placed
    return {}


def _convolutions(fields: ConfigFields) -> dict[str, Any]:
    if fields.flag("conv_bias"):
        raise fields.wrong("conv_bias")
    return {"shortconv.l_cache": fields.whole("conv_L_cache", 3)}


def _delta_nets(fields: ConfigFields) -> dict[str, Any]:
    if not fields.flag("attn_output_gate", True):
        raise fields.wrong("attn_output_gate")
    heads = fields.whole("linear_num_value_heads", 32, most=_MOST_HEADS)
    return {
        "ssm.conv_kernel": fields.whole("linear_conv_kernel_dim", 4),
        "ssm.state_size": fields.whole("linear_key_head_dim", 128),
        "ssm.group_count": fields.whole("linear_num_key_heads", 16),
        "ssm.time_step_rank": heads,
        "ssm.inner_size": heads * fields.whole("linear_value_head_dim", 128, most=_MOST_HEADS),
        "ssm.grouped": True,
    }


def _mamba(fields: ConfigFields, inner: int) -> dict[str, Any]:
    if fields.get("time_step_limit") not in (None, *_ANY_SIZE):
        raise fields.wrong("time_step_limit")
    heads = fields.whole("mamba_n_heads", 128, most=_MOST_HEADS)
    size = inner // heads if fields.get("mamba_d_head") == "auto" else None
    return {
        "ssm.conv_kernel": fields.whole("mamba_d_conv", 4),
        "ssm.state_size": fields.whole("mamba_d_state", 256),
        "ssm.group_count": fields.whole("mamba_n_groups", 1),
        "ssm.time_step_rank": heads,
        "ssm.inner_size": heads * (size or fields.whole("mamba_d_head", most=_MOST_HEADS)),
    }


def _key_heads(fields: ConfigFields, *others: str) -> dict[str, Any]:
    """The key heads of each layer. Layers of the kinds `others` have none."""
    heads = fields.whole("num_key_value_heads", fields.whole("num_attention_heads"))
    return {"attention.head_count_kv": np.array([heads * one for one in _attends(fields, others)])}


def _attends(fields: ConfigFields, others: tuple[str, ...]) -> list[bool]:
    """For each layer, whether it is attention."""
    layers = fields.whole("num_hidden_layers", most=_MOST_LAYERS)
    if (kinds := fields.get("layer_types")) is not None:
        known = (*_ATTENTION, *others)
        if (
            not isinstance(kinds, list)
            or len(kinds) != layers
            or any(k not in known for k in kinds)
        ):
            raise fields.wrong("layer_types")
        return [kind in _ATTENTION for kind in kinds]
    if "mamba" in others:
        return [False] * layers
    if "linear_attention" in others:
        every = fields.whole("full_attention_interval", 4)
        return [(layer + 1) % every == 0 for layer in range(layers)]
    if (places := fields.get("full_attn_idxs")) is None:
        return [True] * layers
    if not isinstance(places, list) or any(type(place) is not int for place in places):
        raise fields.wrong("full_attn_idxs")
    return [layer in places for layer in range(layers)]


def _feed_forward(fields: ConfigFields, kind: Kind) -> int:
    """The size of the feed-forward, which config.json can state as a size to reduce."""
    size = fields.whole("block_ff_dim", fields.whole("intermediate_size", 12288))
    if kind.mixture or not fields.flag("block_auto_adjust_ff_dim", True):
        return size
    size = int(2 * size / 3)
    if (factor := fields.number("block_ffn_dim_multiplier", 1.0)) != 0:
        size = int(factor * size)
    multiple = fields.whole("block_multiple_of", 256)
    return -(-size // multiple) * multiple
