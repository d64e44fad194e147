"""Byte-pair encoders from a GGUF file's vocabulary, on the `tokenizers` library.

Two kinds of model: byte-level (GGUF model "gpt2": GPT-2, Llama 3, Qwen, SmolLM), whose tokens
spell bytes in an alphabet of 256 printable characters and merge in a stated order; and
SentencePiece (GGUF model "llama": Llama 2, Mistral 7B, Gemma), whose tokens spell characters and
merge by score.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from minikin.engine.pretokenizer import PreTokenizer
from minikin.engine.vocabulary import TokenType, Vocabulary, numbers, texts
from minikin.errors import ModelFileError

SPACE = "▁"
"""How SentencePiece spells a space."""


def byte_level_encoder(
    metadata: Mapping[str, Any], vocabulary: Vocabulary, pretokenizer: PreTokenizer
) -> Tokenizer:
    """Text -> ids for a byte-level model. Raises ModelFileError for merges of unknown tokens."""
    ids = vocabulary.writable()
    merges = _stated_merges(metadata, vocabulary, ids)
    encoder = Tokenizer(models.BPE(ids, merges, ignore_merges=pretokenizer.ignore_merges))
    if pretokenizer.nfc:
        encoder.normalizer = normalizers.NFC()
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in pretokenizer.patterns]
    to_alphabet = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    encoder.pre_tokenizer = pre_tokenizers.Sequence([*splits, to_alphabet])
    return _with_user_defined(encoder, vocabulary)


def sentencepiece_encoder(
    metadata: Mapping[str, Any], vocabulary: Vocabulary, *, space_prefix: bool
) -> Tokenizer:
    """Text -> ids for a SentencePiece model; a character without a token becomes its bytes.

    Raises ModelFileError if there are no scores, or not all of the 256 byte tokens.
    """
    ids = vocabulary.writable()
    missing = next((token for token in _BYTE_TOKENS if token not in ids), None)
    if missing:
        raise ModelFileError(f"The model file's vocabulary lacks the byte token {missing}.")
    if "tokenizer.ggml.scores" not in metadata:
        raise ModelFileError("The model file has no tokenizer.ggml.scores.")
    scores = numbers(metadata, "tokenizer.ggml.scores", len(vocabulary.tokens), 0)
    encoder = Tokenizer(models.BPE(ids, _scored_merges(vocabulary, scores), byte_fallback=True))
    spell = [normalizers.Prepend(SPACE)] if space_prefix else []
    encoder.normalizer = normalizers.Sequence([*spell, normalizers.Replace(" ", SPACE)])
    return _with_user_defined(encoder, vocabulary)


def byte_level_table(vocabulary: Vocabulary) -> list[bytes]:
    """Token id -> the bytes it stands for in a byte-level model; b"" for control tokens."""
    table = [_from_alphabet(token) for token in vocabulary.tokens]
    for token_id in vocabulary.of_type(TokenType.USER_DEFINED):
        table[token_id] = vocabulary.tokens[token_id].encode()
    return _with_silent(table, vocabulary)


def sentencepiece_table(vocabulary: Vocabulary) -> list[bytes]:
    """Token id -> the bytes it stands for in a SentencePiece model; b"" for control tokens."""
    table = [
        _BYTE_TOKENS.get(token) or token.replace(SPACE, " ").encode() for token in vocabulary.tokens
    ]
    return _with_silent(table, vocabulary)


def _with_silent(table: list[bytes], vocabulary: Vocabulary) -> list[bytes]:
    for token_id in vocabulary.silent_ids:
        table[token_id] = b""
    return table


def _from_alphabet(token: str) -> bytes:
    try:
        return token.translate(_BYTE_OF).encode("latin-1")
    except UnicodeEncodeError:  # not spelt in the alphabet: it stands for itself
        return token.encode()


def _alphabet() -> dict[int, int]:
    """Code point -> byte in GPT-2's alphabet: printable Latin-1 as it is, the rest from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: byte for byte in printable} | {256 + i: byte for i, byte in enumerate(others)}


_BYTE_OF = _alphabet()
_BYTE_TOKENS = {f"<0x{byte:02X}>": bytes([byte]) for byte in range(256)}


def _stated_merges(
    metadata: Mapping[str, Any], vocabulary: Vocabulary, ids: dict[str, int]
) -> list[tuple[str, str]]:
    merges: list[tuple[str, str]] = []
    for line in texts(metadata, "tokenizer.ggml.merges"):
        left, _, right = line.partition(" ")
        if left in ids and right in ids and left + right in ids:
            merges.append((left, right))
        elif not {left, right, left + right} & vocabulary.control_tokens.keys():
            raise ModelFileError(
                f"The model file's merge {line[:64]!a} needs tokens that it doesn't have."
            )
        # A merge into a control token is left out: text must never become one.
    return merges


def _scored_merges(vocabulary: Vocabulary, scores: np.ndarray) -> list[tuple[str, str]]:
    """Every pair of tokens that makes a third, the best-scored third first.

    SentencePiece joins any two neighbours whose joint text is a token, in that order; among pairs
    that make the same token we take the longest left part first, as published conversions do.
    """
    ids = np.flatnonzero(vocabulary.types == TokenType.NORMAL)
    best_first = ids[np.argsort(-scores[ids].astype(np.float64), kind="stable")].tolist()
    words = {vocabulary.tokens[i] for i in best_first} - vocabulary.control_tokens.keys()
    return [
        (left, right)
        for word in (vocabulary.tokens[i] for i in best_first)
        for cut in range(len(word) - 1, 0, -1)
        if (left := word[:cut]) in words and (right := word[cut:]) in words
    ]


def _with_user_defined(encoder: Tokenizer, vocabulary: Vocabulary) -> Tokenizer:
    """Let tokens such as <h1>, or a run of spaces, match in the text before it is cut."""
    defined = (vocabulary.tokens[i] for i in vocabulary.of_type(TokenType.USER_DEFINED))
    encoder.add_tokens(
        [
            AddedToken(token, normalized=False)
            for token in defined
            if token not in vocabulary.control_tokens
        ]
    )
    return encoder
