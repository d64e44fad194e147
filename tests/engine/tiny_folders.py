"""Tiny models as Hugging Face folders, and a tokenizer for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import transformers
from tokenizers import pre_tokenizers

from tests.engine.tiny_models import VOCABULARY

CONTROLS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_folder(
    model: transformers.PreTrainedModel, path: Path, max_shard_size: str = "1GB"
) -> Path:
    """What save_pretrained writes, and a tokenizer of single bytes."""
    model.save_pretrained(path, max_shard_size=max_shard_size)
    write_tokenizer(path)
    return path


def state(folder: Path, **changes: Any) -> None:
    """Change keys of config.json. Those that become None are no longer in it."""
    content = json.loads((folder / "config.json").read_text()) | changes
    kept = {key: value for key, value in content.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))


def write_tokenizer(path: Path) -> None:
    """Each byte is a token, but for three that no UTF-8 has: they are the controls."""
    (path / "tokenizer.json").write_text(json.dumps(byte_tokenizer()))
    (path / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    settings = {"bos_token": None, "eos_token": CONTROLS[2], "add_bos_token": False}
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    generation = {"eos_token_id": [VOCABULARY - 1, VOCABULARY - 3]}
    (path / "generation_config.json").write_text(json.dumps(generation))


def byte_tokenizer() -> dict[str, Any]:
    alphabet = sorted({*pre_tokenizers.ByteLevel.alphabet()} - {*"ýþÿ"})  # bytes from 0xFD on
    first = len(alphabet)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added(first + i, token) for i, token in enumerate(CONTROLS)],
        "normalizer": None, "pre_tokenizer": byte_level | {"use_regex": True},
        "post_processor": None, "decoder": byte_level | {"use_regex": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(alphabet)}, "merges": [],
        },
    }  # fmt: skip


def added(token_id: int, content: str, **flags: bool) -> dict[str, Any]:
    usual = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": token_id, "content": content, "special": True} | usual | flags
