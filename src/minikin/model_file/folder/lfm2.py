"""config.json of LFM2: its own names of fields, and its layers that are short convolutions.

The meaning of each key and its default are those of transformers' Lfm2Config and Lfm2MLP.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minikin.model_file.folder.config import ConfigFields

_MOST_LAYERS = 1024


def usual_fields(fields: ConfigFields) -> ConfigFields:
    """The same, with the names that other families use. Raises ModelFileError."""
    return fields.joined(
        {
            "rms_norm_eps": fields.number("norm_eps", 1e-5),
            "intermediate_size": _feed_forward(fields),
            "tie_word_embeddings": fields.flag(
                "tie_embedding", fields.flag("tie_word_embeddings", True)
            ),
        }
    )


def convolution_shape(fields: ConfigFields) -> dict[str, Any]:
    """What GGUF files say of the convolutions: layers without key heads. Raises ModelFileError."""
    if fields.flag("conv_bias"):
        raise fields.wrong("conv_bias")
    heads = fields.whole("num_key_value_heads", fields.whole("num_attention_heads"))
    return {
        "attention.head_count_kv": np.array([heads * one for one in _attends(fields)]),
        "shortconv.l_cache": fields.whole("conv_L_cache", 3),
    }


def _attends(fields: ConfigFields) -> list[bool]:
    """For each layer, whether it is attention."""
    layers = fields.whole("num_hidden_layers", most=_MOST_LAYERS)
    if (kinds := fields.get("layer_types")) is not None:
        known = ("full_attention", "conv")
        if (
            not isinstance(kinds, list)
            or len(kinds) != layers
            or any(k not in known for k in kinds)
        ):
            raise fields.wrong("layer_types")
        return [kind == "full_attention" for kind in kinds]
    if (places := fields.get("full_attn_idxs")) is None:
        return [True] * layers
    if not isinstance(places, list) or any(type(place) is not int for place in places):
        raise fields.wrong("full_attn_idxs")
    return [layer in places for layer in range(layers)]


def _feed_forward(fields: ConfigFields) -> int:
    """The size of the feed-forward, which config.json can state as a size to reduce."""
    size = fields.whole("block_ff_dim", fields.whole("intermediate_size", 12288))
    if not fields.flag("block_auto_adjust_ff_dim", True):
        return size
    size = int(2 * size / 3)
    if (factor := fields.number("block_ffn_dim_multiplier", 1.0)) != 0:
        size = int(factor * size)
    multiple = fields.whole("block_multiple_of", 256)
    return -(-size // multiple) * multiple
