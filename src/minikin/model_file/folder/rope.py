"""The rotary positions of config.json, under GGUF's keys and names.

The formulas are those of transformers' modeling_rope_utils.py. Since transformers 5, all values are
in `rope_parameters`, for Gemma 3 once for each kind of layer. Before, they were in `rope_scaling`
and beside it.
"""

from __future__ import annotations

from math import log, pi
from typing import Any, Literal

import numpy as np

from minikin.errors import ModelFileError
from minikin.model_file.family import FAMILIES
from minikin.model_file.folder.config import ConfigFields, head_dim
from minikin.model_file.folder.kinds import Kind

_SORTS = {"full_attention", "sliding_attention"}
RopeType = Literal["default", "linear", "llama3", "yarn", "longrope", "fixed NTK", "proportional"]
_STILL = 1e30
"""The divisor of a frequency that is then nothing. llama.cpp's converter writes it, too."""
_COMMON = {"rope_type", "type", "rope_theta", "partial_rotary_factor"}
_COMMON |= {"mrope_section", "mrope_interleaved"}
"""The last two are for images. All positions of a text are the same in them."""
_SCALED = {"factor", "original_max_position_embeddings"}
_KEYS: dict[RopeType, set[str]] = {
    "default": _COMMON,
    "linear": _COMMON | {"factor"},
    "llama3": _COMMON | _SCALED | {"low_freq_factor", "high_freq_factor"},
    "yarn": _COMMON
    | _SCALED
    | {"attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"}
    | {"llama_4_scaling_beta", "max_position_embeddings"},
    # HunYuan's: `alpha` changes the base, and the context length changes nothing.
    "fixed NTK": _COMMON
    | {"factor", "alpha", "beta_fast", "beta_slow", "mscale", "mscale_all_dim"},
    "proportional": _COMMON | {"factor"},
    "longrope": _COMMON | _SCALED | {"attention_factor", "long_factor", "short_factor"},
}
"""The keys that each method to extend the positions can have."""

Shape = dict[str, Any]
"""GGUF key without the architecture's name -> value."""
Factors = dict[str, np.ndarray]
"""GGUF's tensor name -> float32 [pairs], the divisors of the frequencies."""


def read_rope(fields: ConfigFields, kind: Kind) -> tuple[Shape, Factors]:
    """Values to add to the model's shape and tensors. Raises ModelFileError."""
    if FAMILIES[kind.arch].unplaced_every == 1:
        return {}, {}
    local: Shape = {}
    stated = fields.part("rope_scaling") or fields.part("rope_parameters") or ConfigFields({})
    whole_base = fields.number("rope_theta", kind.rope_base)
    if any(stated.get(sort) is not None for sort in _SORTS):
        stated.check_keys(_SORTS)
        near, far = stated.part("sliding_attention"), stated.part("full_attention")
        if not FAMILIES[kind.arch].has_local_rope or far is None:
            raise ModelFileError("config.json's rope_parameters has an unknown format.")
        stated, local = far, _local(near or ConfigFields({}), fields, kind, whole_base)
    elif FAMILIES[kind.arch].has_local_rope:
        local = _local(ConfigFields({}), fields, kind, whole_base)
    shape, factors = _read(stated, fields, kind, whole_base)
    return shape | local, factors


def _local(near: ConfigFields, fields: ConfigFields, kind: Kind, whole_base: float) -> Shape:
    near.check_keys(_COMMON)
    if _type(near) != "default":
        raise near.wrong("rope_type")
    usual = FAMILIES[kind.arch].local_rope_base or whole_base
    base = near.number("rope_theta", fields.number("rope_local_base_freq", usual))
    return {"rope.freq_base_swa": base}


def _type(stated: ConfigFields) -> str:
    return stated.text("rope_type", stated.text("type", "default"))


def _read(
    stated: ConfigFields, fields: ConfigFields, kind: Kind, base: float
) -> tuple[Shape, Factors]:
    name = _type(stated)
    if name == "mrope":
        name = "default"
    if name == "dynamic" and kind.arch == "hunyuan-dense":
        name = "fixed NTK"
    if kind.arch == "phi3" and name in ("su", "yarn"):  # the name of LongRoPE in its early files
        name = "longrope"
    if name not in _KEYS:
        raise ModelFileError(
            f"config.json's rope type {name[:64]!a} is not supported. Supported: "
            f"{', '.join(_KEYS)}."
        )
    stated.check_keys(_KEYS[name])
    base = stated.number("rope_theta", base)
    share = fields.number("partial_rotary_factor", kind.rotary_share or 1.0)
    share = stated.number("partial_rotary_factor", share)
    if not 0 < share <= 1 or (share != 1 and kind.rotary_share is None):
        raise stated.wrong("partial_rotary_factor")
    size = fields.whole("qk_rope_head_dim") if kind.latent else head_dim(fields, kind)
    if FAMILIES[kind.arch].global_heads:
        size = fields.whole("global_head_dim")
    if name == "proportional":
        shape = {"rope.freq_base": base, "rope.dimension_count": size}
        return shape, {"rope_freqs.weight": _proportional(stated, share, size)}
    dimensions = int(size * share)
    shape: Shape = {"rope.freq_base": base, "rope.dimension_count": dimensions}
    if name == "linear":
        return shape | {"rope.scaling.type": name, "rope.scaling.factor": _factor(stated)}, {}
    if name == "default":
        return shape, {}
    if name == "fixed NTK":
        if size < 4:
            raise fields.wrong("head_dim")
        return shape | {"rope.freq_base": base * stated.number("alpha") ** (size / (size - 2))}, {}
    original = _original(stated, fields)
    if name == "llama3":
        return shape, {"rope_freqs.weight": _llama3(stated, base, dimensions, original)}
    shape |= {"rope.scaling.type": name, "rope.scaling.original_context_length": original}
    if name == "yarn":
        return shape | _yarn(stated, fields, kind, original), {}
    return shape | {"rope.scaling.attn_factor": _long_magnitude(stated, fields, original)}, {
        f"rope_factors_{length}.weight": _list(stated, f"{length}_factor", dimensions // 2)
        for length in ("long", "short")
    }


def _factor(stated: ConfigFields) -> float:
    factor = stated.number("factor")
    if factor < 1:
        raise stated.wrong("factor")
    return factor


def _original(stated: ConfigFields, fields: ConfigFields) -> int:
    """The context length in tokens before it was extended."""
    key = "original_max_position_embeddings"
    if fields.get(key) is not None:  # it has priority over the inner one
        return fields.whole(key)
    return stated.whole(key, fields.whole("max_position_embeddings"))


def _llama3(stated: ConfigFields, base: float, dimensions: int, original: int) -> np.ndarray:
    factor, low = _factor(stated), stated.number("low_freq_factor")
    high = stated.number("high_freq_factor")
    if high <= low:
        raise stated.wrong("high_freq_factor")
    if base <= 1:
        raise stated.wrong("rope_theta")
    turns = original / (2 * pi * base ** (np.arange(0, dimensions, 2) / dimensions))
    smooth = ((turns - low) / (high - low)).clip(0, 1)
    return (1 / (smooth + (1 - smooth) / factor)).astype(np.float32)


def _proportional(stated: ConfigFields, share: float, size: int) -> np.ndarray:
    """The first pairs turn as if all did. The others do not turn."""
    factor = stated.number("factor", 1.0) or 1.0
    turning = int(share * size // 2)
    return np.array([factor] * turning + [_STILL] * (size // 2 - turning), np.float32)


def _yarn(stated: ConfigFields, fields: ConfigFields, kind: Kind, original: int) -> Shape:
    length = fields.whole("max_position_embeddings")
    factor = max(stated.number("factor", length / original), 1.0)
    if stated.flag("truncate", True) != FAMILIES[kind.arch].rounded_yarn:
        raise stated.wrong("truncate")

    def usual(scale: float = 1.0) -> float:
        return 1 + 0.1 * scale * log(factor)

    magnitude = usual()
    scale, all_scale = stated.number("mscale", 0.0), stated.number("mscale_all_dim", 0.0)
    if scale and all_scale:
        magnitude = usual(scale) / usual(all_scale)
    magnitude = stated.number("attention_factor", magnitude)
    # GGUF's value is relative to the usual one, which latent attention does not have.
    magnitude_shape = {"rope.scaling.attn_factor": magnitude / usual()}
    if kind.latent:
        magnitude_shape = {
            "rope.scaling.attn_factor": magnitude,
            "rope.scaling.yarn_log_multiplier": 0.1 * all_scale,
        }
    return magnitude_shape | {
        "rope.scaling.factor": factor,
        "rope.scaling.yarn_beta_fast": stated.number("beta_fast", 32.0),
        "rope.scaling.yarn_beta_slow": stated.number("beta_slow", 1.0),
        "attention.temperature_scale": stated.number("llama_4_scaling_beta", 0.0),
        # Published files contain the length before the extension.
        "context_length": max(length, min(int(original * factor), 2**31)),
    }


def _long_magnitude(stated: ConfigFields, fields: ConfigFields, original: int) -> float:
    factor = stated.number("factor", fields.whole("max_position_embeddings") / original)
    usual = 1.0 if factor <= 1 else (1 + log(factor) / log(max(original, 2))) ** 0.5
    return stated.number("attention_factor", usual)


def _list(stated: ConfigFields, key: str, count: int) -> np.ndarray:
    values = stated.get(key)
    if not isinstance(values, list) or len(values) != count:
        raise stated.wrong(key)
    if not all(type(v) in (int, float) and 0 < v < 1e12 for v in values):
        raise stated.wrong(key)
    return np.array(values, dtype=np.float32)
