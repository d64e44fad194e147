"""An independent float32 model from the same weights: transformers' Llama."""

from __future__ import annotations

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from minikin.engine.model.architecture import Architecture
from minikin.model_file.dequantize import dequantize
from minikin.model_file.gguf import GGUFFile

NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def reference_model(file: GGUFFile) -> LlamaForCausalLM:
    """The file's model in float32, as transformers computes it."""
    a = Architecture.read(file)
    config = LlamaConfig(
        vocab_size=a.vocab_size,
        hidden_size=a.hidden,
        intermediate_size=a.feed_forward,
        num_hidden_layers=a.layers,
        num_attention_heads=a.heads,
        num_key_value_heads=a.kv_heads,
        max_position_embeddings=a.context_length,
        rms_norm_eps=a.norm_epsilon,
        rope_theta=file.metadata.get("llama.rope.freq_base", 10_000.0),
        tie_word_embeddings="output.weight" not in file.tensors,
    )
    model = LlamaForCausalLM(config).eval()
    state = {_name(name): _tensor(file, name, a) for name in file.tensors}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected, unexpected
    assert set(missing) <= {"lm_head.weight"}, missing
    model.tie_weights()
    return model


@torch.inference_mode()
def reference_logits(model: LlamaForCausalLM, tokens: list[int]) -> torch.Tensor:
    """[len(tokens), vocabulary] float32."""
    return model(torch.tensor([tokens])).logits[0]


def _name(name: str) -> str:
    fixed = {
        "token_embd.weight": "model.embed_tokens.weight",
        "output_norm.weight": "model.norm.weight",
        "output.weight": "lm_head.weight",
    }
    if name in fixed:
        return fixed[name]
    _, layer, part, _ = name.split(".")
    return f"model.layers.{layer}.{NAMES[part]}.weight"


def _tensor(file: GGUFFile, name: str, a: Architecture) -> torch.Tensor:
    info = file.tensors[name]
    values = torch.from_numpy(dequantize(file.data(name), info.type, info.shape))
    if "attn_q." in name or "attn_k." in name:
        # The file keeps rotary pairs side by side; transformers wants the halves apart.
        pairs = values.view(-1, a.head_dim // 2, 2, a.hidden)
        values = pairs.transpose(1, 2).reshape(info.shape)
    return values
