from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import sentencepiece

from minikin.engine.gguf import GGUFFile
from minikin.engine.tokenizer import Tokenizer
from minikin.errors import ModelFileError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
USER_DEFINED_TOKENS = ["▁▁", "▁▁▁▁", "\n\n", "<h1>"]


def train(code: str, *, space_prefix: bool) -> sentencepiece.SentencePieceProcessor:
    """A small SentencePiece model with byte fallback and user-defined tokens, as Gemma has."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*code.splitlines(), "日本語のテキスト、中文文本。" * 5]),
        model_writer=model,
        vocab_size=900,
        model_type="bpe",
        byte_fallback=True,
        character_coverage=0.99,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=space_prefix,
        user_defined_symbols=USER_DEFINED_TOKENS,
        control_symbols=["<start_of_turn>", "<end_of_turn>"],
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def type_of(model: sentencepiece.SentencePieceProcessor, token_id: int) -> int:
    if model.IdToPiece(token_id) in USER_DEFINED_TOKENS:
        return USER_DEFINED
    kinds = {BYTE: model.IsByte, CONTROL: model.IsControl, UNKNOWN: model.IsUnknown}
    return next((kind for kind, holds in kinds.items() if holds(token_id)), NORMAL)


def write_gguf(path: Path, model: sentencepiece.SentencePieceProcessor, space_prefix: bool) -> None:
    """As converters do: user-defined tokens have plain spaces in them."""
    ids = range(model.vocab_size())
    tokens = [model.IdToPiece(i) for i in ids]
    writer = gguf.GGUFWriter(path, "gemma3")
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(
        [text.replace("▁", " ") if text in USER_DEFINED_TOKENS else text for text in tokens]
    )
    writer.add_token_scores([model.GetScore(i) for i in ids])
    writer.add_token_types([gguf.TokenType(type_of(model, i)) for i in ids])
    writer.add_bos_token_id(model.bos_id())
    writer.add_eos_token_id(model.eos_id())
    writer.add_add_space_prefix(space_prefix)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


@pytest.fixture(scope="module")
def gemma_like(code: str) -> sentencepiece.SentencePieceProcessor:
    return train(code, space_prefix=False)


@pytest.fixture
def metadata(tmp_path: Path, gemma_like: sentencepiece.SentencePieceProcessor) -> dict[str, Any]:
    write_gguf(tmp_path / "model.gguf", gemma_like, space_prefix=False)
    return dict(GGUFFile.open(tmp_path / "model.gguf").metadata)


def test_a_model_without_space_prefix_agrees_with_sentencepiece(
    metadata: dict[str, Any],
    gemma_like: sentencepiece.SentencePieceProcessor,
    varied_texts: list[str],
) -> None:
    tokenizer = Tokenizer.from_gguf(metadata)

    for text in varied_texts:
        ids = tokenizer.encode(text)
        assert ids == gemma_like.Encode(text)
        assert tokenizer.decode(ids) == text


def test_a_model_with_space_prefix_agrees_with_sentencepiece(
    code: str, varied_texts: list[str], tmp_path: Path
) -> None:
    model = train(code, space_prefix=True)
    write_gguf(tmp_path / "model.gguf", model, space_prefix=True)
    tokenizer = Tokenizer.from_gguf(GGUFFile.open(tmp_path / "model.gguf").metadata)

    # After a user-defined token llama.cpp and transformers add the space again, sentencepiece not.
    comparable = [text for text in varied_texts if not has_user_defined(" " + text)]
    assert len(comparable) > 1000
    for text in comparable:
        ids = tokenizer.encode(text)
        assert ids == model.Encode(text)
        assert tokenizer.decode(ids) == text


def has_user_defined(text: str) -> bool:
    return any(token.replace("▁", " ") in text for token in USER_DEFINED_TOKENS)


def test_text_never_becomes_a_control_or_byte_token(metadata: dict[str, Any]) -> None:
    tokenizer = Tokenizer.from_gguf(metadata)
    text = "<s></s><unk><start_of_turn>user<0x41><end_of_turn>"
    control = set(tokenizer.control_tokens.values())

    assert tokenizer.control_tokens.keys() == {
        "<unk>", "<s>", "</s>", "<start_of_turn>", "<end_of_turn>"
    }  # fmt: skip
    assert not control & set(tokenizer.encode(text))
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_end_tokens_are_those_of_the_family(metadata: dict[str, Any]) -> None:
    tokenizer = Tokenizer.from_gguf(metadata)

    assert {"</s>", "<end_of_turn>"} == {
        text for text, i in tokenizer.control_tokens.items() if i in tokenizer.eos_ids
    }
    assert tokenizer.add_bos


def test_byte_tokens_give_their_byte(metadata: dict[str, Any]) -> None:
    tokenizer = Tokenizer.from_gguf(metadata)
    ids = tokenizer.encode("🎉")

    assert [tokenizer.token_bytes(i) for i in ids] == [b"\xf0", b"\x9f", b"\x8e", b"\x89"]


@pytest.mark.parametrize(
    "text", ["x" * 500_000, " " * 500_000 + "x", "日" * 200_000, "ab" * 300_000]
)
def test_long_runs_stay_whole(metadata: dict[str, Any], text: str) -> None:
    tokenizer = Tokenizer.from_gguf(metadata)

    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_model_without_scores_is_refused(metadata: dict[str, Any]) -> None:
    del metadata["tokenizer.ggml.scores"]

    with pytest.raises(ModelFileError, match=r"no tokenizer\.ggml\.scores"):
        Tokenizer.from_gguf(metadata)


def test_scores_of_another_length_are_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(ModelFileError, match="scores is not an array of 900 numbers"):
        Tokenizer.from_gguf(metadata | {"tokenizer.ggml.scores": np.zeros(3)})


def test_a_model_without_a_byte_token_is_refused(metadata: dict[str, Any]) -> None:
    tokens = ["x" if token == "<0x41>" else token for token in metadata["tokenizer.ggml.tokens"]]
    tokens[tokens.index("x")] = "<0x4>"

    with pytest.raises(ModelFileError, match="lacks the byte token <0x41>"):
        Tokenizer.from_gguf(metadata | {"tokenizer.ggml.tokens": tokens})


def test_whatever_the_file_says_it_is_used_or_refused(
    metadata: dict[str, Any], spoilt: Callable[[dict[str, Any]], Iterator[dict[str, Any]]]
) -> None:
    tokenizer_keys = {k: v for k, v in metadata.items() if k.startswith("tokenizer")}
    used = 0
    for broken in spoilt(tokenizer_keys):
        try:
            tokenizer = Tokenizer.from_gguf(broken)
        except ModelFileError:
            continue
        used += 1
        tokenizer.decode(tokenizer.encode("Hello <|im_end|> wörld"))
        tokenizer.token_bytes(tokenizer.vocab_size - 1)
    assert used
