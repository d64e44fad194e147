"""config.json of Gemma 4: layers without a window have heads of their own sizes.

The meaning of each key and its default are those of transformers' Gemma4TextConfig and
Gemma4UnifiedTextConfig.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minikin.model_file.family import FAMILIES
from minikin.model_file.folder.config import ConfigFields
from minikin.model_file.folder.kinds import Kind

_MOST_LAYERS, _MOST_HEAD = 1024, 4096
_LOCAL, _GLOBAL = "sliding_attention", "full_attention"
_GELU = "gelu_pytorch_tanh"
_ROPE = {
    _LOCAL: {"rope_type": "default", "rope_theta": 10_000.0},
    _GLOBAL: {"rope_type": "proportional", "rope_theta": 1e6, "partial_rotary_factor": 0.25},
}


def gemma4_fields(fields: ConfigFields, kind: Kind) -> ConfigFields:
    """The same, with the kind of each layer and `global_head_dim`. Raises ModelFileError."""
    if kind.arch != "gemma4":
        return fields
    if fields.text("hidden_activation", _GELU) != _GELU:
        raise fields.wrong("hidden_activation")
    if fields.get("use_bidirectional_attention") not in (None, "vision"):  # of images
        raise fields.wrong("use_bidirectional_attention")
    if fields.flag("attention_bias"):
        raise fields.wrong("attention_bias")
    usual: dict[str, Any] = {"use_bidirectional_attention": None}
    layers = fields.whole("num_hidden_layers", most=_MOST_LAYERS)
    every = FAMILIES[kind.arch].global_every
    kinds = [_LOCAL if (layer + 1) % every else _GLOBAL for layer in range(layers)]
    if (stated := fields.get("layer_types")) is not None:
        if not isinstance(stated, list) or len(stated) != layers:
            raise fields.wrong("layer_types")
        kinds = stated
    usual["layer_types"] = [*kinds[:-1], _GLOBAL]
    if fields.get("rope_parameters") is None:
        usual["rope_parameters"] = _ROPE
    more = fields.joined(usual)
    return more.joined({"global_head_dim": _global_size(more, "head_dim", "global_head_dim", 512)})


def gemma4_shape(fields: ConfigFields, kind: Kind) -> dict[str, Any]:
    """What GGUF files say of Gemma 4, of fields as from `gemma4_fields`. Raises ModelFileError."""
    if kind.arch != "gemma4":
        return {}
    dim, local = fields.whole("global_head_dim"), fields.whole("head_dim", most=_MOST_HEAD)
    near = fields.whole("num_key_value_heads")
    far = _global_size(fields, "num_key_value_heads", "num_global_key_value_heads", near)
    if not _layer_configs(fields) and not fields.flag("attention_k_eq_v"):
        far = near
    kinds = fields.get("layer_types")
    shared = fields.count("num_kv_shared_layers", most=len(kinds) - 1)
    inside = fields.whole("intermediate_size")
    wide = shared if fields.flag("use_double_wide_mlp") else 0
    sizes = np.array([inside] * (len(kinds) - wide) + [2 * inside] * wide)
    return {
        "feed_forward_length": sizes if wide else inside,
        "attention.shared_kv_layers": shared,
        "embedding_length_per_layer_input": _input_size(fields),
        "attention.key_length": dim,
        "attention.value_length": dim,
        "attention.key_length_swa": local,
        "attention.value_length_swa": local,
        "attention.head_count_kv": np.array([far if one == _GLOBAL else near for one in kinds]),
        "final_logit_softcapping": fields.number("final_logit_softcapping", 0.0),
    }


def _input_size(fields: ConfigFields) -> int:
    """The size of each layer's own input, or 0."""
    key, usual = "hidden_size_per_layer_input", 256
    if fields.get("model_type") == "gemma4_unified_text":
        return 0
    return usual if fields.get(key) is None else fields.count(key, most=_MOST_HEAD)


def _layer_configs(fields: ConfigFields) -> list[ConfigFields]:
    """What newer files say of each layer without a window. Raises ModelFileError."""
    each = fields.part("per_layer_config") or ConfigFields({})
    found = {name: each.part(name) for name in each.names()}
    kinds = fields.get("layer_types")
    places = {int(name) for name in found if name.isdecimal() and len(name) < 5}
    if found and places != {i for i, kind in enumerate(kinds) if kind == _GLOBAL}:
        raise fields.wrong("per_layer_config")
    return [part for part in found.values() if part is not None]


def _global_size(fields: ConfigFields, key: str, older: str, usual: int) -> int:
    """A size of layers without a window, under one of its two names. Raises ModelFileError."""
    parts = _layer_configs(fields)
    if not parts:
        return fields.whole(older, usual, most=_MOST_HEAD)
    sizes = {part.whole(key, fields.get(key), most=_MOST_HEAD) for part in parts}
    if len(sizes) > 1:
        raise fields.wrong("per_layer_config")
    return sizes.pop()
