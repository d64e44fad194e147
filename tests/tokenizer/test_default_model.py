"""The default model's tokenizer against the reference."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import gguf
import pytest
from tokenizers import Tokenizer as Reference

from minikin.model_file.gguf import GGUFFile
from minikin.tokenizer.tokenizer import Tokenizer

CONTROL = 3


def published_shape(path: Path) -> Reference:
    """SmolLM2's tokenizer as its publisher's tokenizer.json states it, from the gguf package."""
    fields = gguf.GGUFReader(path).fields
    tokens: Sequence[str] = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    added = [
        {"id": i, "content": token, "special": True, "normalized": False, "single_word": False,
         "lstrip": False, "rstrip": False}
        for i, token in enumerate(tokens) if types[i] == CONTROL
    ]  # fmt: skip
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    model = {
        "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
        "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
        "vocab": {token: i for i, token in enumerate(tokens)},
        "merges": fields["tokenizer.ggml.merges"].contents(),
    }  # fmt: skip
    digits = {"type": "Digits", "individual_digits": True}
    parts = [digits, byte_level | {"use_regex": True}]
    shape = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": None, "pre_tokenizer": {"type": "Sequence", "pretokenizers": parts},
        "post_processor": None, "decoder": byte_level | {"use_regex": True}, "model": model,
    }  # fmt: skip
    return Reference.from_str(json.dumps(shape))


@pytest.fixture(scope="module")
def default_reference(model_path: Path) -> Reference:
    return published_shape(model_path)


@pytest.fixture(scope="module")
def default_tokenizer(model_path: Path) -> Tokenizer:
    return Tokenizer.from_gguf(GGUFFile.open(model_path).metadata)


@pytest.mark.model
def test_the_default_model_agrees_with_its_reference_on_2000_texts(
    default_tokenizer: Tokenizer, default_reference: Reference, varied_texts: list[str]
) -> None:
    default_reference.encode_special_tokens = True

    for text in varied_texts:
        ids = default_tokenizer.encode(text)
        assert ids == default_reference.encode(text).ids
        assert default_tokenizer.decode(ids) == default_reference.decode(ids)


@pytest.mark.model
def test_the_default_model_writes_control_tokens_as_its_reference(
    default_tokenizer: Tokenizer, default_reference: Reference, varied_texts: list[str]
) -> None:
    default_reference.encode_special_tokens = False

    for text in [text for text in varied_texts if "<" not in text]:
        pieces = [("<|im_start|>", True), ("user\n" + text, False), ("<|im_end|>", True)]
        ids = default_tokenizer.encode_pieces(pieces)
        assert ids == default_reference.encode("".join(piece for piece, _ in pieces)).ids
        assert default_tokenizer.decode(ids) == default_reference.decode(ids)


@pytest.mark.model
def test_the_default_model_ends_at_either_end_token(default_tokenizer: Tokenizer) -> None:
    assert default_tokenizer.eos_ids == {0, 2}
    assert default_tokenizer.vocab_size == 49152
    assert len(default_tokenizer.control_tokens) == 17
