"""Tiny random models as GGUF files, as llama.cpp's converter would write them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import transformers
from gguf.constants import GGMLQuantizationType

from minikin.model_file.folder.names import is_seeing, text_name
from tests.engine.tiny_models import VOCABULARY, Tiny

EPSILONS = ("rms_norm_eps", "norm_eps", "layer_norm_epsilon")
"""What families call the epsilon of norms."""


def write_gguf(
    tiny: Tiny,
    model: transformers.PreTrainedModel,
    path: Path,
    kind: GGMLQuantizationType = GGMLQuantizationType.F32,
) -> None:
    """As llama.cpp's converter would, the matrices but routers in one type."""
    c = model.config.get_text_config()
    name = gguf.MODEL_ARCH_NAMES[tiny.arch]
    writer = gguf.GGUFWriter(path, name)
    if (head_dim := tiny.metadata.get("attention.key_length")) is None:
        head_dim = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    writer.add_vocab_size(VOCABULARY)
    writer.add_block_count(c.num_hidden_layers + tiny.metadata.get("nextn_predict_layers", 0))
    writer.add_embedding_length(c.hidden_size)
    feed_forward = getattr(c, "intermediate_size", None)
    if feed_forward and "feed_forward_length" not in tiny.metadata:
        writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(c.num_attention_heads)
    if "attention.head_count_kv" not in tiny.metadata:
        writer.add_head_count_kv(1 if split_heads(tiny, c) else key_heads(c))
    if rank := getattr(c, "kv_lora_rank", None):
        add_latent(writer, c, rank, split=split_heads(tiny, c))
    elif "attention.key_length" not in tiny.metadata:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    writer.add_context_length(c.max_position_embeddings)
    writer.add_layer_norm_rms_eps(
        next(getattr(c, key) for key in EPSILONS if getattr(c, key, None) is not None)
    )
    if "rope.freq_base" not in tiny.metadata and hasattr(c, "rope_parameters"):
        writer.add_rope_freq_base(c.rope_parameters["rope_theta"])
    for key, value in tiny.metadata.items():
        adds = {int: writer.add_uint32, str: writer.add_string, list: writer.add_array}
        adds[bool] = writer.add_bool
        add = adds.get(type(value), writer.add_float32)
        add(f"{name}.{key}", value)
    for tensor, values in gguf_tensors(tiny, model, head_dim).items():
        exact = (
            values.ndim == 1
            or ".shortconv.conv" in tensor
            or ".ssm_conv1d" in tensor
            or tensor.endswith((".ssm_a", ".ssm_d", ".ssm_norm.weight"))
            or tensor.endswith(".bias")
            or "ffn_gate_inp" in tensor
        )
        packed = GGMLQuantizationType.F32 if exact else kind
        writer.add_tensor(tensor, gguf.quantize(values, packed), raw_dtype=packed)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def split_heads(tiny: Tiny, config: transformers.PreTrainedConfig) -> bool:
    """Whether each head of latent attention has its own matrices, as in newer files."""
    return hasattr(config, "kv_lora_rank") and not tiny.joined_heads


def add_latent(
    writer: gguf.GGUFWriter, config: transformers.PreTrainedConfig, rank: int, *, split: bool
) -> None:
    key, value = config.qk_nope_head_dim + config.qk_rope_head_dim, config.v_head_dim
    writer.add_kv_lora_rank(rank)
    if config.q_lora_rank:
        writer.add_q_lora_rank(config.q_lora_rank)
    writer.add_rope_dimension_count(config.qk_rope_head_dim)
    writer.add_key_length(rank + config.qk_rope_head_dim if split else key)
    writer.add_value_length(rank if split else value)
    if split:
        writer.add_key_length_mla(key)
        writer.add_value_length_mla(value)


def key_heads(config: transformers.PreTrainedConfig) -> int | list[int]:
    """A list if some layers have none."""
    kinds = getattr(config, "layer_types", None) or []
    if "conv" not in kinds and ("hybrid" in kinds or not hasattr(config, "mamba_n_heads")):
        return config.num_key_value_heads
    return [config.num_key_value_heads * (kind == "full_attention") for kind in kinds]


def gguf_tensors(
    tiny: Tiny, model: transformers.PreTrainedModel, head_dim: int
) -> dict[str, np.ndarray]:
    names = gguf.get_tensor_name_map(tiny.arch, model.config.get_text_config().num_hidden_layers)
    found: dict[str, np.ndarray] = {}
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        if is_seeing(name):
            continue
        name, values = text_name(name), weight.numpy()
        if ".linear_attn." in name and tiny.arch == gguf.MODEL_ARCH.QWEN3NEXT:
            name, values = grouped_delta_net(name, values)
        elif ".mamba." in name:
            name, values = mamba(name, values, model.config.mamba_n_groups)
        elif tiny.model == "NemotronH":
            name, values = nemotron(name, values, model.config)
        elif ".linear_attn." in name:
            name, values = delta_net(name, values, model.config)
        elif tiny.norms_from_zero and name.endswith("norm.weight"):
            values = values + 1
        if tiny.arch == gguf.MODEL_ARCH.FALCON_H1:
            values = multiplied(name, values, model.config)
        if tiny.side_by_side and any(part in name for part in ("q_proj", "k_proj")):
            values = side_by_side(values, head_dim)
        written = as_written(tiny, name, values)
        if name.endswith("kv_b_proj.weight") and not tiny.joined_heads:
            written = each_head(name, values, model.config)
        for part, numbers in written:
            own = names.get_name(part, (".weight", ".bias", ".scale"))
            assert own, name
            found[own] = numbers
    for name, factors in tiny.tensors.items():
        found[name] = np.array(factors or llama3_factors(head_dim), dtype=np.float32)
    return found


def as_written(tiny: Tiny, name: str, values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """A tensor under the names that GGUF's map knows; experts' gates apart from what they gate."""
    if name.endswith(("e_score_correction_bias", "expert_bias")):
        layer = name.split(".")[2]
        yield f"model.layers.{layer}.mlp.moe_statics.e_score_correction.bias", values.ravel()
        return
    if name.endswith("in_proj_qkvz.weight"):
        # Of two key heads: queries and keys of 16, values and gates of 64 rows each.
        heads = [np.split(head, np.cumsum([16, 16, 64])) for head in np.split(values, 2)]
        *inner, gates = (np.concatenate(part) for part in zip(*heads, strict=True))
        yield name.replace("qkvz", "qkv"), np.concatenate(inner)
        yield name.replace("qkvz", "z"), gates
        return
    if name.endswith("conv.conv.weight"):
        values = values.squeeze(1)
    if name.endswith("shared_expert_gate.weight"):
        values = values.squeeze(0)
    if name.endswith("per_expert_scale"):
        name = name.replace("router.per_expert_scale", "experts.down_proj.scale")
        yield name, values
        return
    name = name.replace("router.scale", "router.proj.scale")
    if name.endswith(("sinks", "layer_scalar")):
        name += ".weight"
    if ".shared_mlp." in name:
        home = "mlp.shared_expert" if "expert_count" in tiny.metadata else "mlp"
        name = name.replace("shared_mlp.output_linear", f"{home}.down_proj")
        halves = [values] if "down" in name else np.split(values, 2)
        for half, part in zip(halves, ("gate_proj", "up_proj"), strict=False):
            yield name.replace("shared_mlp.input_linear", f"{home}.{part}"), half
        return
    name = name.replace("block_sparse_moe.router", "block_sparse_moe.gate")
    name = name.replace("block_sparse_moe.experts", "mlp.experts")
    if ".experts." not in name:
        yield name, values
        return
    name = name.removesuffix("_bias") + (".bias" if name.endswith("_bias") else ".weight")
    # Inputs come before outputs there, and gates and what they gate in turn.
    odd = tiny.model == "GptOss"
    if odd and values.ndim == 3:
        values = values.swapaxes(1, 2)
    if "gate_up" not in name or tiny.arch == gguf.MODEL_ARCH.GEMMA4:
        yield name, np.ascontiguousarray(values)
        return
    halves = (values[:, ::2], values[:, 1::2]) if odd else np.split(values, 2, axis=1)
    for half, part in zip(halves, ("gate", "up"), strict=True):
        yield name.replace("gate_up", part), np.ascontiguousarray(half)


def each_head(
    name: str, values: np.ndarray, config: transformers.PreTrainedConfig
) -> Iterator[tuple[str, np.ndarray]]:
    """The matrices of keys, transposed, and of values."""
    heads = values.reshape(config.num_attention_heads, -1, config.kv_lora_rank)
    keys, kept = np.split(heads, [config.qk_nope_head_dim], axis=1)
    yield name.replace("kv_b", "k_b"), np.ascontiguousarray(keys.swapaxes(1, 2))
    yield name.replace("kv_b", "v_b"), np.ascontiguousarray(kept)


def delta_net(
    name: str, values: np.ndarray, config: transformers.PreTrainedConfig
) -> tuple[str, np.ndarray]:
    """The value heads of a key head are not adjacent: the first of each come first."""
    keys, heads = config.linear_num_key_heads, config.linear_num_value_heads
    order = np.arange(heads).reshape(keys, -1).T.ravel()
    part, size = name.split("linear_attn.")[1].split(".")[0], config.linear_value_head_dim
    if part in ("in_proj_a", "in_proj_b", "A_log", "dt_bias"):
        values = values[order]
    wide = (order[:, None] * size + np.arange(size)).ravel()
    if part == "in_proj_z":
        values = values[wide]
    if part == "out_proj":
        values = np.ascontiguousarray(values[:, wide])
    if part in ("in_proj_qkv", "conv1d"):
        before = 2 * keys * config.linear_key_head_dim
        values = np.concatenate([values[:before], values[before:][wide]])
    if part == "conv1d":
        values = values.squeeze(1)
    return name.replace("dt_bias", "dt_proj.bias"), -np.exp(values) if part == "A_log" else values


def nemotron(
    name: str, values: np.ndarray, config: transformers.PreTrainedConfig
) -> tuple[str, np.ndarray]:
    """GGUF's map has the published names, but that of experts."""
    if ".mixer.experts." in name:
        return name.replace(".mixer.", ".mlp."), values
    name = name.replace("model.", "backbone.")
    return mamba(name, values, config.n_groups) if ".mixer." in name else (name, values)


def mamba(name: str, values: np.ndarray, groups: int) -> tuple[str, np.ndarray]:
    """One step and one skip a row, and one norm a group. llama-quantize drops sizes of 1 there."""
    part = name.replace("mixer.", "mamba.").split("mamba.")[1]
    if part == "conv1d.weight":
        values = values.squeeze(1)
    if part in ("A_log", "D"):
        values = values[:, None]
    if part == "norm.weight":
        values = values.reshape(groups, -1)
        values = values[0] if len(values) == 1 else values
    return name.replace("dt_bias", "dt_proj.bias"), -np.exp(values) if part == "A_log" else values


def multiplied(name: str, values: np.ndarray, config: transformers.PreTrainedConfig) -> np.ndarray:
    """Falcon-H1's factors are in the numbers."""
    into, sizes = config.attention_in_multiplier, config.mamba_n_groups * config.mamba_d_state
    rows = [config.mamba_d_ssm] * 2 + [sizes] * 2 + [config.mamba_n_heads]
    factors = {
        "embed_tokens": config.embedding_multiplier, "lm_head": config.lm_head_multiplier,
        "q_proj": into, "k_proj": into * config.key_multiplier, "v_proj": into,
        "o_proj": config.attention_out_multiplier, "gate_proj": config.mlp_multipliers[0],
        "down_proj": config.mlp_multipliers[1], "out_proj": config.ssm_out_multiplier,
        "in_proj": config.ssm_in_multiplier * np.repeat(config.ssm_multipliers, rows)[:, None],
    }  # fmt: skip
    return np.float32(factors.get(name.split(".")[-2], 1.0)) * values


def grouped_delta_net(name: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    if name.endswith("conv1d.weight"):
        values = values.squeeze(1)
    return name.replace("dt_bias", "dt_proj.bias"), -np.exp(values) if "A_log" in name else values


def side_by_side(values: np.ndarray, head_dim: int) -> np.ndarray:
    halves = values.reshape(-1, 2, head_dim // 2, *values.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(values.shape)


def llama3_factors(head_dim: int) -> list[float]:
    """The formula of Llama 3.1's release."""
    factors = []
    for exponent in np.arange(0, head_dim, 2) / head_dim:
        wavelength = 2 * np.pi * 10_000.0**exponent
        smooth = (64 / wavelength - 1) / (4 - 1)
        factors.append(1 / (min(max(smooth, 0), 1) * (1 - 1 / 8) + 1 / 8))
    return factors
