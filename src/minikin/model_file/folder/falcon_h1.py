"""Folders of Falcon-H1: layers with attention and Mamba side by side, and factors of matrices.

The meaning of each key and its default are those of transformers' FalconH1Config. GGUF files have
the factors in the numbers of their tensors.
"""

from __future__ import annotations

import numpy as np

from minikin.model_file.folder.config import ConfigFields

_BIASES = ("attention_bias", "mlp_bias", "mamba_proj_bias", "projectors_bias")
_PARTS = 5
"""Of the inputs of Mamba that have a factor: gates, values, keys, queries, steps."""


def check_computed(fields: ConfigFields) -> None:
    """Raise ModelFileError for a variant that the decoder does not compute."""
    for key in _BIASES:
        if fields.flag(key):
            raise fields.wrong(key)
    if fields.flag("mamba_rms_norm") and fields.flag("mamba_norm_before_gate", True):
        raise fields.wrong("mamba_norm_before_gate")
    if fields.flag("tie_word_embeddings"):  # both would need a factor of their own
        raise fields.wrong("tie_word_embeddings")


def inner_size(fields: ConfigFields) -> int:
    """The values of Mamba in a layer. Raises ModelFileError."""
    if fields.get("mamba_d_ssm") is not None:
        return fields.whole("mamba_d_ssm")
    return fields.whole("mamba_expand", 2) * fields.whole("hidden_size")


def factors(fields: ConfigFields) -> dict[str, np.ndarray | float]:
    """GGUF's name of a tensor, without its layer -> the factor of its numbers.

    A number, or one for each row [rows, 1]. Raises ModelFileError.
    """
    into_attention = fields.number("attention_in_multiplier", 1.0)
    gate, down = _list(fields, "mlp_multipliers", 2)
    return {
        "token_embd": fields.number("embedding_multiplier", 1.0),
        "output": fields.number("lm_head_multiplier", 1.0),
        "attn_q": into_attention,
        "attn_k": into_attention * fields.number("key_multiplier", 1.0),
        "attn_v": into_attention,
        "attn_output": fields.number("attention_out_multiplier", 1.0),
        "ssm_in": fields.number("ssm_in_multiplier", 1.0) * _of_inputs(fields),
        "ssm_out": fields.number("ssm_out_multiplier", 1.0),
        "ffn_gate": gate,
        "ffn_down": down,
    }


def _of_inputs(fields: ConfigFields) -> np.ndarray:
    """[rows, 1] float32."""
    inner = inner_size(fields)
    keys = fields.whole("mamba_n_groups", 1) * fields.whole("mamba_d_state", 256)
    rows = [inner, inner, keys, keys, fields.whole("mamba_n_heads", 128)]
    factors = np.array(_list(fields, "ssm_multipliers", _PARTS), np.float32)
    return np.repeat(factors, rows)[:, None]


def _list(fields: ConfigFields, key: str, count: int) -> list[float]:
    values = fields.get(key)
    if values is None:
        return [1.0] * count
    if not isinstance(values, list) or len(values) != count:
        raise fields.wrong(key)
    if not all(type(value) in (int, float) and 0 <= value < 1e12 for value in values):
        raise fields.wrong(key)
    return [float(value) for value in values]
