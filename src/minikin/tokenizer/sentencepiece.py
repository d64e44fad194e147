"""Encoders as SentencePiece has them, from a GGUF file's vocabulary.

Two kinds: BPE (GGUF model "llama": Llama 2, Mistral 7B, Gemma), which joins neighbours by score,
and unigram (GGUF model "t5"), which takes the tokens of the best total score. Their tokens spell
characters, with U+2581 for a space; a character without a token becomes its bytes' tokens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from tokenizers import Tokenizer, models

from minikin.errors import ModelFileError
from minikin.tokenizer.bpe import Encode, add_user_defined, library_encode
from minikin.tokenizer.charsmap import CharsMap
from minikin.tokenizer.vocabulary import TokenType, Vocabulary, numbers, scalar

SPACE = "▁"
"""How SentencePiece spells a space."""
_BONUS = 0.1
"""For each byte of a user-defined token but one, where log-probabilities are below 0.

So does SentencePiece 0.2.3 choose; earlier ones gave such a token -0.1 whatever its length.
"""
BYTE_TOKENS = {f"<0x{byte:02X}>": bytes([byte]) for byte in range(256)}


class Normalizer(msgspec.Struct, frozen=True, kw_only=True):
    """What a SentencePiece model does to a text before it looks for tokens."""

    charsmap: CharsMap | None
    kept: re.Pattern[str]
    """User-defined tokens, which the character map leaves as they are."""
    space_prefix: bool
    """A text starts with a space, so that its first word is spelt as any other."""
    remove_extra_spaces: bool
    """No spaces at the ends of a text, and one at a time within it."""

    @classmethod
    def read(cls, metadata: Mapping[str, Any], vocabulary: Vocabulary) -> Normalizer:
        """Take it from a GGUF file's metadata. Raises ModelFileError."""
        charsmap = CharsMap.read(metadata)
        defined = {_spelt(token) for token in vocabulary.user_defined()} if charsmap else set()
        longest_first = map(re.escape, sorted(defined - {""}, key=len, reverse=True))
        return cls(
            charsmap=charsmap,
            kept=re.compile(f"({'|'.join(longest_first) or '(?!)'})"),
            space_prefix=scalar(metadata, "tokenizer.ggml.add_space_prefix", True),
            remove_extra_spaces=scalar(metadata, "tokenizer.ggml.remove_extra_whitespaces", False),
        )

    def __call__(self, text: str) -> str:
        """The text in the tokens' spelling. Raises ValueError for lone surrogates."""
        if self.charsmap:
            parts = self.kept.split(text)
            parts[::2] = map(self.charsmap.replace, parts[::2])
            text = "".join(parts)
        if self.remove_extra_spaces:
            text = re.sub("  +", " ", text.strip(" "))
        if self.space_prefix and text:
            text = " " + text
        text = text.replace(" ", SPACE)
        return text.rstrip(SPACE) if self.remove_extra_spaces else text


def scored_bpe(
    metadata: Mapping[str, Any], vocabulary: Vocabulary, normalizer: Normalizer
) -> Encode:
    """Text -> ids by SentencePiece's BPE.

    Raises ModelFileError if there are no scores, or not all of the 256 byte tokens.
    """
    ids = {_spelt(token): i for token, i in vocabulary.writable().items()}
    check_bytes(ids)
    merges = _scored_merges(vocabulary, _scores(metadata, vocabulary))
    encoder = Tokenizer(models.BPE(ids, merges, byte_fallback=True))
    add_user_defined(encoder, vocabulary, _spelt)
    return lambda text: library_encode(encoder, normalizer(text))


def unigram(metadata: Mapping[str, Any], vocabulary: Vocabulary, normalizer: Normalizer) -> Encode:
    """Text -> ids by the Viterbi algorithm over the tokens' scores.

    Without byte tokens, characters that no token spells give one unknown token a run. Where two
    ways have the same score we take the first; SentencePiece, by its rounding, takes either.
    Raises ModelFileError if there are no scores, or no unknown token.
    """
    unknown = next(iter(vocabulary.of_type(TokenType.UNKNOWN)), None)
    if unknown is None:
        raise ModelFileError("The model file's vocabulary has no unknown token.")
    scores = _scores(metadata, vocabulary)
    pieces = _unigram_pieces(vocabulary, scores)
    encoder = Tokenizer(models.Unigram(pieces, unknown, byte_fallback=False))
    of_byte = _byte_ids(vocabulary)

    def encode(text: str) -> list[int]:
        text = normalizer(text)
        ids = library_encode(encoder, text)
        if not of_byte or unknown not in ids:
            return ids
        whole = encoder.encode(text, add_special_tokens=False)  # the fast call has no texts
        return [
            part
            for i, piece in zip(ids, whole.tokens, strict=True)
            for part in ([of_byte[byte] for byte in piece.encode()] if i == unknown else [i])
        ]

    return encode


def check_bytes(ids: Mapping[str, int]) -> None:
    """Raises ModelFileError unless there is a token for each byte."""
    missing = next((token for token in BYTE_TOKENS if token not in ids), None)
    if missing:
        raise ModelFileError(f"The model file's vocabulary lacks the byte token {missing}.")


def token_table(vocabulary: Vocabulary) -> list[bytes]:
    """Token id -> the bytes it stands for in a SentencePiece model."""
    return [
        BYTE_TOKENS.get(token) or token.replace(SPACE, " ").encode() for token in vocabulary.tokens
    ]


def _spelt(token: str) -> str:
    """Converters write user-defined tokens with spaces, or as SentencePiece does."""
    return token.replace(" ", SPACE)


def _scores(metadata: Mapping[str, Any], vocabulary: Vocabulary) -> np.ndarray:
    if "tokenizer.ggml.scores" not in metadata:
        raise ModelFileError("The model file has no tokenizer.ggml.scores.")
    return numbers(metadata, "tokenizer.ggml.scores", len(vocabulary.tokens), 0).astype(np.float64)


def _scored_merges(vocabulary: Vocabulary, scores: np.ndarray) -> list[tuple[str, str]]:
    """Every pair of tokens that makes a third, the best-scored third first.

    SentencePiece joins any two neighbours whose joint text is a token, in that order; among pairs
    that make the same token we take the longest left part first, as published conversions do.
    Tokens of equal score, which training never leaves, go by their ids.
    """
    ids = np.flatnonzero(vocabulary.types == TokenType.NORMAL)
    best_first = (vocabulary.tokens[i] for i in ids[np.argsort(-scores[ids], kind="stable")])
    words = dict.fromkeys(_spelt(t) for t in best_first if t not in vocabulary.control_tokens)
    return [
        (left, right)
        for word in words
        for cut in range(len(word) - 1, 0, -1)
        if (left := word[:cut]) in words and (right := word[cut:]) in words
    ]


def _unigram_pieces(vocabulary: Vocabulary, scores: np.ndarray) -> list[tuple[str, float]]:
    """(text, score) of every token; those that text must not become get one it can't spell."""
    normal = scores[vocabulary.types == TokenType.NORMAL]
    best = float(normal.max()) if len(normal) else 0.0
    pieces = [(f" {i}", best) for i in range(len(vocabulary.tokens))]
    hidden = vocabulary.of_type(TokenType.BYTE)
    writable = vocabulary.writable()
    for i in {*writable.values()}.difference(hidden):
        pieces[i] = (_spelt(vocabulary.tokens[i]), float(scores[i]))
    for token in vocabulary.user_defined():
        text = _spelt(token)
        pieces[writable[token]] = (text, _BONUS * (len(text.encode()) - 1))
    return pieces


def _byte_ids(vocabulary: Vocabulary) -> list[int]:
    """Byte -> the id of its token; empty if the vocabulary hasn't all of them."""
    ids = {vocabulary.tokens[i]: i for i in vocabulary.of_type(TokenType.BYTE)}
    return [ids[token] for token in BYTE_TOKENS] if BYTE_TOKENS.keys() <= ids.keys() else []
