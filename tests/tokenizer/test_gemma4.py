"""Gemma 4's tokenizer in GGUF files, against the library that defines the format it comes from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from tokenizers import Regex, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Reference

from minikin.errors import ModelFileError
from minikin.tokenizer.tokenizer import Tokenizer
from tests.engine.tiny_folders import added

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6
CONTROLS = ["<pad>", "<eos>", "<bos>", "<unk>", "<|turn>", "<turn|>", "<|think|>"]
MARKS = ["<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", '<|"|>']
RUNS = ["\n\n", "\n\n\n", "\n\n\n\n\n"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
TEMPLATE = "{{ '<|turn>' }}" + " ".join(MARKS)


@pytest.fixture(scope="module")
def reference(code: str) -> Reference:
    """As Gemma 4's tokenizer.json: no words, and runs of line breaks that are tokens."""
    tokenizer = Reference(models.BPE())
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    lines = pre_tokenizers.Split(Regex(r"[^\n]+|[\n]+"), "isolated")
    words = pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([lines, words])
    special = [*CONTROLS, *MARKS, *RUNS, *BYTES]
    trainer = trainers.BpeTrainer(vocab_size=1300, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(code.splitlines(keepends=True), trainer)
    stated = json.loads(tokenizer.to_str())
    stated["model"]["byte_fallback"] = True
    first = len(CONTROLS) + len(MARKS)
    runs = [added(first + i, run) | {"special": False} for i, run in enumerate(RUNS)]
    return Reference.from_str(
        json.dumps(stated | {"added_tokens": runs, "pre_tokenizer": None, "decoder": None})
    )


@pytest.fixture(scope="module")
def metadata(reference: Reference) -> dict[str, Any]:
    """As llama.cpp's converter writes it."""
    state = json.loads(reference.to_str())["model"]
    tokens = sorted(state["vocab"], key=state["vocab"].get)
    kinds = dict.fromkeys(CONTROLS, CONTROL) | dict.fromkeys(MARKS, USER_DEFINED)
    kinds |= dict.fromkeys(BYTES, BYTE) | {"<unk>": UNKNOWN}
    return {
        "tokenizer.ggml.model": "gemma4",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": np.array([kinds.get(token, NORMAL) for token in tokens]),
        "tokenizer.ggml.merges": [" ".join(pair) for pair in state["merges"]],
        "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.add_space_prefix": False,
        "tokenizer.chat_template": TEMPLATE,
    }


def test_texts_get_the_ids_of_the_reference(
    metadata: dict[str, Any], reference: Reference, varied_texts: list[str]
) -> None:
    tokenizer = Tokenizer.from_gguf(metadata)
    for text in [*varied_texts, "a\n\n\n\nb\n\n\n\n\n\n\n", " \n \n\n "]:
        ids = tokenizer.encode(text)
        assert ids == reference.encode(text, add_special_tokens=False).ids, text
        if "▁" not in text:
            assert tokenizer.decode(ids) == text


def test_marks_are_seen_and_turns_are_not(metadata: dict[str, Any]) -> None:
    tokenizer = Tokenizer.from_gguf(metadata)
    assert tokenizer.add_bos
    ends = {"<eos>", "<turn|>", "<|tool_response>"}
    assert {metadata["tokenizer.ggml.tokens"][i] for i in tokenizer.eos_ids} == ends
    ids = tokenizer.encode_pieces([(mark, True) for mark in MARKS])
    assert tokenizer.decode(ids) == "".join(mark for mark in MARKS if mark not in ends)
    assert tokenizer.decode(tokenizer.encode_pieces([("<|turn>", True), ("<|think|>", True)])) == ""
    assert not set(tokenizer.encode("".join([*MARKS, *CONTROLS]))) & set(ids)


def test_every_file_is_used_or_rejected(
    metadata: dict[str, Any], spoilt: Callable[[dict[str, Any]], Iterator[dict[str, Any]]]
) -> None:
    for broken in spoilt(metadata):
        try:
            tokenizer = Tokenizer.from_gguf(broken)
        except ModelFileError:
            continue
        assert isinstance(tokenizer.encode("Hello\n\nworld"), list)
