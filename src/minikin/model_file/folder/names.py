"""GGUF's names for the tensors of a Hugging Face folder."""

from __future__ import annotations

import re

from minikin.model_file.folder.kinds import Kind

_TOP = {
    "model.embed_tokens": "token_embd",
    "model.embeddings": "token_embd",
    "model.norm": "output_norm",
    "model.norm_f": "output_norm",
    "model.final_layernorm": "output_norm",
    "model.embedding_norm": "token_embd_norm",
    "lm_head": "output",
    "model.embed_tokens_per_layer": "per_layer_token_embd",
    "model.per_layer_model_projection": "per_layer_model_proj",
    "model.per_layer_projection_norm": "per_layer_proj_norm",
}
_LAYER = re.compile(r"model\.layers\.(0|[1-9][0-9]{0,3})\.([a-zA-Z0-9_.]+)")
_IN_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "mlp.gate": "ffn_gate_inp",
    "mlp.router": "ffn_gate_inp",
    "self_attn.sinks": "attn_sinks",
    "block_sparse_moe.gate": "ffn_gate_inp",
    "mlp.shared_experts.gate_proj": "ffn_gate_shexp",
    "mlp.shared_experts.up_proj": "ffn_up_shexp",
    "mlp.shared_experts.down_proj": "ffn_down_shexp",
    "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
    "mlp.shared_expert.up_proj": "ffn_up_shexp",
    "mlp.shared_expert.down_proj": "ffn_down_shexp",
    "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
}
_STACK = re.compile(
    r"model\.layers\.(0|[1-9][0-9]{0,3})\."
    r"(?:(?:mlp|mixer)\.)?(experts\.(?:gate_up|up|down)_proj"
    r"|block_sparse_moe\.(?:in|out)put_linear\.weight)"
)
_IN_STACK = {
    "experts.gate_up_proj": "gate_up",
    "experts.up_proj": "up",
    "experts.down_proj": "down",
    "block_sparse_moe.input_linear.weight": "gate_up",
    "block_sparse_moe.output_linear.weight": "down",
}
_EXPERT = re.compile(
    r"model\.layers\.(0|[1-9][0-9]{0,3})\.(?:mlp|block_sparse_moe|feed_forward|mixer)\.experts"
    r"\.(0|[1-9][0-9]{0,3})\.(gate_proj|up_proj|down_proj|w1|w2|w3)"
)
_IN_EXPERT = {"gate_proj": "gate", "up_proj": "up", "down_proj": "down"} | {
    "w1": "gate", "w3": "up", "w2": "down"
}  # fmt: skip
_CORRECTION = re.compile(
    r"model\.layers\.(0|[1-9][0-9]{0,3})\."
    r"(?:(?:mlp\.gate|mlp\.moe_statics|block_sparse_moe|mlp|mixer\.gate)\.e_score_correction_bias"
    r"|feed_forward\.expert_bias)"
)
_COMPUTED = re.compile(r"model\.(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq")


_SEEING = re.compile(
    r"(model\.)?(visual|vision_tower|vision_model|multi_modal_projector|embed_vision"
    r"|audio_tower|embed_audio)\."
)
_TEXT_PART = re.compile(r"(?:model\.language_model|language_model\.model|backbone)\.")


def is_seeing(name: str) -> bool:
    """Whether this tensor belongs to the part of a model that sees or hears."""
    return _SEEING.match(name) is not None


def text_name(name: str) -> str:
    """The name of a tensor of a text model, which can be a part of a model that also sees."""
    return _TEXT_PART.sub("model.", name).removeprefix("language_model.")


def gguf_name(name: str, kind: Kind) -> str | None:
    """GGUF's name of a module ("model.norm"), or None if the family has no such module."""
    if name in _TOP:
        return _TOP[name]
    if (layer := _LAYER.fullmatch(name)) is None:
        return None
    own = kind.names.get(layer[2]) or _IN_LAYER.get(layer[2])
    return own and f"blk.{layer[1]}.{own}"


def correction_name(name: str) -> str | None:
    """GGUF's name of the tensor that corrects the choice of experts, or None for other names."""
    corrected = _CORRECTION.fullmatch(name)
    return corrected and f"blk.{corrected[1]}.exp_probs_b.bias"


def stack_name(name: str) -> str | None:
    """GGUF's name of the matrices of all experts of a layer in one tensor, or None."""
    stack = _STACK.fullmatch(name)
    return stack and f"blk.{stack[1]}.ffn_{_IN_STACK[stack[2]]}_exps"


def expert_name(name: str) -> tuple[str, int] | None:
    """GGUF's name of the stack that contains an expert's matrix, and its place there.

    None for a name that is not a matrix of an expert.
    """
    if (expert := _EXPERT.fullmatch(name)) is None:
        return None
    return f"blk.{expert[1]}.ffn_{_IN_EXPERT[expert[3]]}_exps", int(expert[2])


def is_computed(name: str) -> bool:
    """Whether this tensor of old files only repeats what config.json says."""
    return _COMPUTED.fullmatch(name) is not None
