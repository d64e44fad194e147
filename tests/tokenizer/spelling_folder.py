"""A tiny model whose answer is known: a folder that can be served to the end."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import torch

from tests.engine.tiny_folders import CONTROLS, byte_tokenizer, write_folder
from tests.engine.tiny_models import FAMILIES, VOCABULARY

WORD = "Paris!"
END = CONTROLS[1]
"""What follows the word; only generation_config.json says that it ends an answer."""


def write_spelling_folder(path: Path) -> Path:
    """A folder in several files. After the end of a line, the model always writes WORD.

    Its layers add nothing, and its head finds, by their embeddings, the token before.
    """
    model = FAMILIES["Qwen2"].make()
    ids = byte_tokenizer()["model"]["vocab"] | {END: VOCABULARY - 2}
    chain = [ids[letter] for letter in "Ċ" + WORD] + [ids[END]]  # "Ċ" spells a line's end
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.norm.weight.fill_(1)
        model.lm_head.weight.zero_()
        for token, following in itertools.pairwise(chain):
            model.lm_head.weight[following] = model.model.embed_tokens.weight[token]
    write_folder(model, path, "100KB")
    generation = json.dumps({"eos_token_id": [ids[END], VOCABULARY - 1]})
    (path / "generation_config.json").write_text(generation)
    return path
