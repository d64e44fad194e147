"""Small valid files of a Hugging Face folder."""

from __future__ import annotations

import json
from typing import Any

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
    "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "vocab_size": 256,
    "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": True,
    "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                     "high_freq_factor": 4.0, "original_max_position_embeddings": 128},
}  # fmt: skip
AWQ = {"quantization_config": {
    "quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm",
}}  # fmt: skip
GPTQ = {"quantization_config": {
    "quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": False, "sym": True,
}}  # fmt: skip
INDEX = {"metadata": {"total_size": 33_024}, "weight_map": {
    "model.embed_tokens.weight": "model.safetensors", "model.norm.weight": "model.safetensors",
}}  # fmt: skip
UNIGRAM: dict[str, Any] = {
    "version": "1.0", "truncation": None, "padding": None, "post_processor": None,
    "added_tokens": [], "normalizer": {"type": "Sequence", "normalizers": [
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}, {"type": "NFKC"},
    ]},
    "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always",
                      "split": True},
    "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always",
                "split": True},
    "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": False, "vocab": [
        ["<unk>", 0.0], ["▁", -1.5], ["a", -2.0], ["b", -2.5], ["▁ab", -3.0]]},
}  # fmt: skip


def safetensors() -> bytes:
    """A file of two tensors."""
    head = json.dumps({
        "model.embed_tokens.weight": {
            "dtype": "BF16", "shape": [256, 64], "data_offsets": [0, 32_768]
        },
        "model.norm.weight": {"dtype": "F32", "shape": [64], "data_offsets": [32_768, 33_024]},
    }).encode()  # fmt: skip
    return len(head).to_bytes(8, "little") + head + bytes(33_024)
