"""The vocabularies of published models, with the ids that each one's own tokenizer gives."""

from __future__ import annotations

import unicodedata

import pytest

from minikin.model_file.gguf import GGUFFile
from minikin.tokenizer.tokenizer import Tokenizer
from tests.published import published_models

pytestmark = pytest.mark.slow

BETWEEN = "\n__ggml_vocab_test__\n"
NOT_FOR_CHATS = {"ggml-vocab-bert-bge"}
COMPOSES = {"ggml-vocab-qwen35"}
"""The tokenizer composes letters, and llama.cpp, which has written these ids, does not."""


def test_every_vocabulary_gives_the_ids_of_its_reference():
    compared = 0
    for ids in sorted(published_models().glob("ggml-vocab-*.gguf.out")):
        path = ids.with_suffix("")
        if path.stem in NOT_FOR_CHATS:
            continue
        tokenizer = Tokenizer.from_gguf(GGUFFile.open(path).metadata)
        texts = path.with_name(f"{path.name}.inp").read_bytes().decode().split(BETWEEN)
        for text, line in zip(texts, ids.read_text().splitlines(), strict=False):
            if path.stem not in COMPOSES or unicodedata.is_normalized("NFC", text):
                assert tokenizer.encode(text) == [int(id) for id in line.split()], path.stem
                compared += 1
    assert compared > 600
