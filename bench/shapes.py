"""Models of known shapes with random weights, whose speed is that of the real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter

from minikin.model_file.gguf import GGUFFile

Sizes = dict[str, tuple[int, ...]]
"""Tensor name -> its shape, outermost first."""
_TYPE, _BLOCK = GGMLQuantizationType.Q4_K, 256
_CONTEXT = 8192


@dataclass(frozen=True)
class Shape:
    """The sizes of a model. `of_layer` gives the tensors of one of its layers."""

    architecture: str
    title: str
    layers: int
    hidden: int
    heads: int
    key_heads: int
    head: int
    feed_forward: int
    of_layer: Callable[[Shape, int], Sizes]
    metadata: dict[str, Any] = field(default_factory=dict)
    """Under the architecture's name."""

    def tensors(self, vocabulary: int) -> Sizes:
        """All tensors, for so many tokens."""
        found: Sizes = {
            "token_embd.weight": (vocabulary, self.hidden),
            "output.weight": (vocabulary, self.hidden),
            "output_norm.weight": (self.hidden,),
        }
        for i in range(self.layers):
            found |= {f"blk.{i}.{name}": size for name, size in self.of_layer(self, i).items()}
        return found


def _dense(shape: Shape, layer: int) -> Sizes:
    wide = (shape.feed_forward, shape.hidden)
    return {
        **_attention(shape),
        "ffn_norm.weight": (shape.hidden,),
        "ffn_gate.weight": wide,
        "ffn_up.weight": wide,
        "ffn_down.weight": wide[::-1],
    }


def _attention(shape: Shape, gated: int = 1) -> Sizes:
    queries, keys = shape.heads * shape.head, shape.key_heads * shape.head
    return {
        "attn_norm.weight": (shape.hidden,),
        "attn_q.weight": (queries * gated, shape.hidden),
        "attn_k.weight": (keys, shape.hidden),
        "attn_v.weight": (keys, shape.hidden),
        "attn_output.weight": (shape.hidden, queries),
    }


def _head_norms(shape: Shape) -> Sizes:
    return {f"attn_{part}_norm.weight": (shape.head,) for part in "qk"}


EXPERTS, EXPERTS_USED, EXPERT_WIDTH = 128, 8, 768


def _mixture(shape: Shape, layer: int) -> Sizes:
    wide = (EXPERTS, EXPERT_WIDTH, shape.hidden)
    return {
        **_attention(shape),
        **_head_norms(shape),
        "ffn_norm.weight": (shape.hidden,),
        "ffn_gate_inp.weight": (EXPERTS, shape.hidden),
        "ffn_gate_exps.weight": wide,
        "ffn_up_exps.weight": wide,
        "ffn_down_exps.weight": (EXPERTS, shape.hidden, EXPERT_WIDTH),
    }


STATE_HEADS, STATE_VALUES, STATE_SIZE, EVERY = 16, 32, 128, 4


def _hybrid(shape: Shape, layer: int) -> Sizes:
    """Three layers with a state (a gated delta net), then one with attention."""
    keys, values = STATE_HEADS * STATE_SIZE, STATE_VALUES * STATE_SIZE
    wide = (shape.feed_forward, shape.hidden)
    common = {
        "attn_norm.weight": (shape.hidden,),
        "post_attention_norm.weight": (shape.hidden,),
        "ffn_gate.weight": wide,
        "ffn_up.weight": wide,
        "ffn_down.weight": wide[::-1],
    }
    if (layer + 1) % EVERY == 0:
        return common | _attention(shape, gated=2) | _head_norms(shape)
    return {
        **common,
        "attn_qkv.weight": (2 * keys + values, shape.hidden),
        "attn_gate.weight": (values, shape.hidden),
        "ssm_beta.weight": (STATE_VALUES, shape.hidden),
        "ssm_alpha.weight": (STATE_VALUES, shape.hidden),
        "ssm_conv1d.weight": (2 * keys + values, 4),
        "ssm_dt.bias": (STATE_VALUES,),
        "ssm_a": (STATE_VALUES,),
        "ssm_norm.weight": (STATE_SIZE,),
        "ssm_out.weight": (shape.hidden, values),
    }


SHAPES = {
    "1b": Shape("llama", "Llama 3.2 1B", 16, 2048, 32, 8, 64, 8192, _dense),
    "7b": Shape("llama", "Llama 2 7B", 32, 4096, 32, 32, 128, 11008, _dense),
    "mixture": Shape(
        "qwen3moe", "Qwen3 30B-A3B, 8 of its 48 layers", 8, 2048, 32, 4, 128, 6144, _mixture,
        {
            "expert_count": EXPERTS, "expert_used_count": EXPERTS_USED,
            "expert_feed_forward_length": EXPERT_WIDTH,
        },
    ),
    "hybrid": Shape(
        "qwen35", "Qwen3.5 4B, 12 of its 32 layers", 12, 2560, 16, 4, 256, 9216, _hybrid,
        {
            "full_attention_interval": EVERY, "rope.dimension_count": 64, "ssm.conv_kernel": 4,
            "ssm.state_size": STATE_SIZE, "ssm.group_count": STATE_HEADS,
            "ssm.time_step_rank": STATE_VALUES, "ssm.inner_size": STATE_VALUES * STATE_SIZE,
            "rope.dimension_sections": [11, 11, 10, 0],
        },
    ),
}  # fmt: skip


def write(shape: Shape, path: Path, tokenizer: Path) -> None:
    """Write a GGUF file of this shape, with the tokenizer of another file.

    Its matrices have the type Q4_K, and each repeats random blocks: what its weights are costs no
    time. The small ones are float32.
    """
    source = GGUFFile.open(tokenizer).metadata
    writer = GGUFWriter(str(path), shape.architecture, use_temp_file=False)
    writer.add_block_count(shape.layers)
    writer.add_context_length(_CONTEXT)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.key_heads)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    for name, value in shape.metadata.items():
        key = f"{shape.architecture}.{name}"
        writer.add_array(key, value) if isinstance(value, list) else writer.add_uint32(key, value)
    _add_tokenizer(writer, source)
    for name, size in shape.tensors(len(source["tokenizer.ggml.tokens"])).items():
        if size[-1] % _BLOCK or len(size) == 1 or name.endswith(("_inp.weight", "a.weight")):
            writer.add_tensor(name, _floats(name, size))
        else:
            writer.add_tensor(name, _blocks(size), raw_dtype=_TYPE)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokenizer(writer: GGUFWriter, source: Any) -> None:
    writer.add_tokenizer_model(source["tokenizer.ggml.model"])
    writer.add_tokenizer_pre(source["tokenizer.ggml.pre"])
    writer.add_token_list(list(source["tokenizer.ggml.tokens"]))
    writer.add_token_types([int(kind) for kind in source["tokenizer.ggml.token_type"]])
    writer.add_token_merges(list(source["tokenizer.ggml.merges"]))
    writer.add_bos_token_id(int(source["tokenizer.ggml.bos_token_id"]))
    writer.add_eos_token_id(int(source["tokenizer.ggml.eos_token_id"]))
    writer.add_chat_template(source["tokenizer.chat_template"])


def _floats(name: str, size: tuple[int, ...]) -> np.ndarray:
    if name.endswith("ssm_a"):
        return np.full(size, -1, np.float32)
    if len(size) == 1:
        return np.ones(size, np.float32)
    chance = np.random.default_rng(size[0])
    return chance.standard_normal(size, np.float32) / np.float32(size[-1] ** 0.5)


def _blocks(size: tuple[int, ...]) -> np.ndarray:
    """[..., rows, bytes a row]: blocks of a scale, a minimum, 12 bytes of scales, 128 of levels.

    See `block_q4_K` of ggml-common.h.
    """
    chance = np.random.default_rng(size[0])
    blocks = chance.integers(0, 256, (8_000, 144), dtype=np.uint8)
    scales = np.array([0.02 / 8 / 32, 0.02 / 32], np.float16)  # weights around 0, of about 0.02
    blocks[:, :4] = scales.view(np.uint8)
    count = int(np.prod(size)) // _BLOCK
    return np.resize(blocks, (count, 144)).reshape(*size[:-1], -1)
