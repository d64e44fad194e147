"""The model's shape from config.json, under GGUF's keys.

The meaning of each key and its default are those of transformers' configuration classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minikin.errors import ModelFileError
from minikin.model_file.family import FAMILIES
from minikin.model_file.fields import Fields, wrong_value
from minikin.model_file.folder.kinds import KINDS, MIXTURES, Kind

_MOST_LAYERS, _MOST_HEAD, _MOST_TOKENS, _MOST_EXPERTS = 1024, 4096, 1 << 20, 4096
"""Lists of this length are made before any tensor is read. The largest models have a third."""


class ConfigFields(Fields):
    """The values of config.json, or of an object in it. Each is checked when it is read."""

    def __init__(self, values: Mapping[str, Any], within: str = "") -> None:
        super().__init__(values, within)

    def get(self, key: str) -> Any:
        """The unchecked value. None if it is missing."""
        return self._metadata.get(key)

    def names(self) -> list[str]:
        """All its keys."""
        return [*self._metadata]

    def part(self, key: str) -> ConfigFields | None:
        """The object under a key, or None. Raises ModelFileError."""
        value = self.get(key)
        if value is None:
            return None
        if isinstance(value, dict):
            return ConfigFields(value, f"{self._name}{key}.")
        raise self.wrong(key)

    def joined(self, more: Mapping[str, Any]) -> ConfigFields:
        """The same fields, with `more` in place of those of the same names."""
        return ConfigFields({**self._metadata, **more}, self._name)

    def number(self, key: str, default: float | None = None) -> float:
        """A number of 0 or more, or the default. Raises ModelFileError."""
        if isinstance(self.get(key), bool):
            raise self.wrong(key)
        return super().number(key, default)

    def check_keys(self, known: set[str]) -> None:
        """Raise ModelFileError for a value under an unknown key."""
        for key, value in self._metadata.items():
            if key not in known and value is not None:
                raise ModelFileError(
                    f"config.json's {self._name}{key[:64]!a} is not supported and can change what "
                    f"the model computes. Supported: {', '.join(sorted(known))}."
                )

    def wrong(self, key: str) -> ModelFileError:
        """The error for an invalid value."""
        return wrong_value("config.json", f"{self._name}{key}", self.get(key))


_GPT_OSS_GATE = {"swiglu_limit": 7.0, "swiglu_alpha": 1.702}
"""The constants of its gate (`engine.model.activation`)."""
_TEXT_OF = {
    "qwen2_5_vl": "qwen2_5_vl_text",
    "qwen3_vl": "qwen3_vl_text",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "gemma3": "gemma3_text",
    "gemma4": "gemma4_text",
    "gemma4_unified": "gemma4_unified_text",
    "mistral3": "ministral3",
}
"""The `model_type` of models that also see -> that of their text model."""
_OF_WHOLE = ("tie_word_embeddings", "quantization_config", "eos_token_id")
"""What config.json says beside the text model."""


def text_fields(fields: ConfigFields) -> ConfigFields:
    """The fields of the model of text. Raises ModelFileError."""
    outer = str(fields.get("model_type"))
    if outer not in _TEXT_OF:
        return fields
    # Old files of Qwen2.5-VL have them beside those of the vision model.
    inner = fields.part("text_config") or fields
    whole = {key: fields.get(key) for key in _OF_WHOLE if fields.get(key) is not None}
    stated = inner.get("model_type") if inner is not fields else None
    return inner.joined({"model_type": stated or _TEXT_OF[outer]} | whole)


def read_kind(fields: ConfigFields) -> Kind:
    """The family of config.json. Raises ModelFileError."""
    name = fields.get("model_type")
    if not isinstance(name, str) or name not in KINDS:
        raise ModelFileError(
            f"This folder has the unsupported model_type {str(name)[:64]!a}. "
            f"Supported: {', '.join(KINDS)}."
        )
    return MIXTURES[name] if name in MIXTURES and _has_experts(fields) else KINDS[name]


def _has_experts(fields: ConfigFields) -> bool:
    """Whether some layers are mixtures, of a `model_type` with and without experts."""
    kinds = fields.get("layers_block_type") or fields.get("hybrid_override_pattern")
    if isinstance(kinds, list | str):
        return "moe" in kinds or "E" in kinds
    return bool(fields.get("num_local_experts") or fields.get("enable_moe_block"))


def read_shape(fields: ConfigFields, kind: Kind) -> dict[str, Any]:
    """GGUF key without the architecture's name -> value. rope.py reads the rotary positions.

    Raises ModelFileError for a missing, invalid or unsupported value.
    """
    _check_computed(fields, kind)
    layers = fields.whole("num_hidden_layers", most=_MOST_LAYERS)
    hidden, heads = fields.whole("hidden_size"), fields.whole("num_attention_heads")
    shape: dict[str, Any] = {
        "block_count": layers,
        "embedding_length": hidden,
        "feed_forward_length": fields.whole(kind.feed_forward),
        "attention.head_count": heads,
        "attention.head_count_kv": fields.whole("num_key_value_heads", heads),
        "attention.key_length": head_dim(fields, kind),
        "attention.value_length": head_dim(fields, kind),
        "attention.layer_norm_rms_epsilon": fields.number("rms_norm_eps"),
        "context_length": fields.whole("max_position_embeddings"),
        "vocab_size": fields.whole("vocab_size", most=_MOST_TOKENS),
    }
    if kind.mixture:
        shape |= _experts(fields, kind)
    if kind.gemma:
        shape["attention.scale"] = max(fields.number("query_pre_attn_scalar"), 1e-6) ** -0.5
        shape["attn_logit_softcapping"] = fields.number("attn_logit_softcapping", 0.0)
        shape["final_logit_softcapping"] = fields.number("final_logit_softcapping", 0.0)
    if kind.multiplied:
        shape |= _multipliers(fields)
    windowed = _windowed_layers(fields, kind, layers)
    if any(windowed):
        shape["attention.sliding_window"] = fields.whole("sliding_window")
        shape["attention.sliding_window_pattern"] = np.array(windowed)
    return shape


def _multipliers(fields: ConfigFields) -> dict[str, float]:
    return {
        "embedding_scale": fields.number("embedding_multiplier", 1.0),
        "residual_scale": fields.number("residual_multiplier", 1.0),
        "attention.scale": fields.number("attention_multiplier", 1.0),
        "logit_scale": fields.number("logits_scaling", 1.0),
    }


def _experts(fields: ConfigFields, kind: Kind) -> dict[str, Any]:
    """The shape of mixtures. Raises ModelFileError, also if some layers are not mixtures."""
    if kind.experts:
        return _named_experts(fields, kind)
    # Mixtral's name. Qwen3-MoE uses it since transformers 5.
    newer = fields.get("num_local_experts") is not None or kind.arch == "llama"
    count = "num_local_experts" if newer else "num_experts"
    experts = fields.whole(count, most=_MOST_EXPERTS)
    shape: dict[str, Any] = {
        "expert_count": experts,
        "expert_used_count": fields.whole("num_experts_per_tok", most=experts),
    }
    if kind.arch == "llama":  # Mixtral: the weights of the selected experts always add up to 1
        return shape
    if kind.arch == "gpt-oss":  # the same
        for key, value in _GPT_OSS_GATE.items():
            if fields.number(key, value) != value:
                raise fields.wrong(key)
        return shape | {"expert_feed_forward_length": fields.whole("intermediate_size")}
    _check_layers_are_alike(fields)
    return shape | {
        "expert_feed_forward_length": fields.whole("moe_intermediate_size"),
        "expert_weights_norm": fields.flag("norm_topk_prob"),
    }


def _check_layers_are_alike(fields: ConfigFields) -> None:
    """Raise ModelFileError for what Qwen's classes can do in only some layers."""
    if fields.whole("decoder_sparse_step", 1) != 1:
        raise fields.wrong("decoder_sparse_step")
    for key in ("mlp_only_layers", "use_sliding_window"):
        if fields.get(key):
            raise fields.wrong(key)


def _named_experts(fields: ConfigFields, kind: Kind) -> dict[str, Any]:
    def key(name: str) -> str:
        return kind.experts.get(name, "-")

    _check_layers_are_alike(fields)
    # Ernie's: mixtures from one layer on to the last one.
    layers = fields.whole("num_hidden_layers", most=_MOST_LAYERS)
    if fields.get("moe_layer_interval") not in (None, 1):
        raise fields.wrong("moe_layer_interval")
    if fields.get("moe_layer_end_index") not in (None, -1, layers - 1):
        raise fields.wrong("moe_layer_end_index")
    experts = fields.whole(key("count"), most=_MOST_EXPERTS)
    shared = {"expert_shared_count": fields.count(key("shared"), most=experts)}
    if "shared_size" in kind.experts:
        shared = {"expert_shared_feed_forward_length": fields.whole(key("shared_size"))}
    groups = fields.count(key("groups"), most=_MOST_EXPERTS)
    if groups > 1:
        shared |= {
            "expert_group_count": groups,
            "expert_group_used_count": fields.whole(key("used_groups"), most=groups),
        }
    return shared | {
        "expert_count": experts,
        "expert_used_count": fields.whole(
            kind.experts.get("used", "num_experts_per_tok"), most=experts
        ),
        "expert_feed_forward_length": fields.whole(
            kind.experts.get("size", "moe_intermediate_size")
        ),
        "expert_weights_scale": fields.number(key("scale"), 1.0),
        "expert_weights_norm": fields.flag("norm_topk_prob", kind.normalized),
        "leading_dense_block_count": fields.count(key("first"), most=layers - 1),
    }


def head_dim(fields: ConfigFields, kind: Kind) -> int:
    """The size of a head. Raises ModelFileError."""
    if kind.latent:
        kept = fields.whole("qk_nope_head_dim", most=_MOST_HEAD)
        return kept + fields.whole("qk_rope_head_dim", most=_MOST_HEAD)
    if kind.own_head_dim:
        return fields.whole("head_dim", most=_MOST_HEAD)
    heads = fields.whole("num_attention_heads")
    usual = max(fields.whole("hidden_size") // heads, 1)
    return fields.whole("head_dim", min(usual, _MOST_HEAD), most=_MOST_HEAD)


def is_tied(fields: ConfigFields, kind: Kind) -> bool:
    """Whether the output head is the embedding. Raises ModelFileError."""
    return fields.flag("tie_word_embeddings", kind.tied)


def _check_computed(fields: ConfigFields, kind: Kind) -> None:
    """Raise ModelFileError for a variant that the decoder does not compute."""
    key, wanted = "hidden_act", "silu"
    if kind.gemma:  # its classes read no other key
        key, wanted = "hidden_activation", "gelu_pytorch_tanh"
    if fields.text(key, wanted) != wanted:
        raise fields.wrong(key)
    for key in ("use_bidirectional_attention", "use_mrope"):
        if fields.flag(key):
            raise fields.wrong(key)
    if kind.arch == "smollm3":
        layers = fields.whole("num_hidden_layers", most=_MOST_LAYERS)
        every = FAMILIES[kind.arch].unplaced_every
        placed = [int((layer + 1) % every != 0) for layer in range(layers)]
        if fields.get("no_rope_layers") not in (None, placed):
            raise fields.wrong("no_rope_layers")
        if not fields.get("no_rope_layers") and fields.get("no_rope_layer_interval") != every:
            raise fields.wrong("no_rope_layer_interval")


def _windowed_layers(fields: ConfigFields, kind: Kind, layers: int) -> list[bool]:
    """For each layer, whether it has the sliding window."""
    if kind.window == "none" or fields.get("sliding_window") is None:
        return [False] * layers
    if kind.window == "all":
        return [True] * layers
    if kind.window != "family" and not fields.flag("use_sliding_window"):
        return [False] * layers
    if (stated := fields.get("layer_types")) is not None:
        known = ("full_attention", "sliding_attention")
        if not isinstance(stated, list) or len(stated) != layers:
            raise fields.wrong("layer_types")
        if not all(one in known for one in stated):
            raise fields.wrong("layer_types")
        return [one == known[1] for one in stated]
    if kind.window == "late":
        first = fields.get("max_window_layers")
        if type(first) is not int or first < 0:
            raise fields.wrong("max_window_layers")
        return [layer >= first for layer in range(layers)]
    family = FAMILIES[kind.arch]
    if kind.window == "unplaced":
        return [(layer + 1) % family.unplaced_every == 0 for layer in range(layers)]
    every = fields.whole("sliding_window_pattern", family.global_every)
    return [(layer + 1) % every != 0 for layer in range(layers)]
