"""SentencePiece's encoders for a GGUF file's vocabulary.

There are three kinds. BPE (GGUF model "llama": Llama 2, Mistral 7B, Gemma) joins neighbours by
score. Unigram (GGUF model "t5") uses the tokens with the best total score. Gemma 4 ("gemma4") joins
neighbours in a stated order. Tokens spell characters, with U+2581 for a space. A character without
a token becomes the tokens of its bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

from minikin.errors import ModelFileError
from minikin.tokenizer.bpe import Encode, add_user_defined, library_encode, stated_merges
from minikin.tokenizer.charsmap import CharsMap
from minikin.tokenizer.pretokenizer import LINES
from minikin.tokenizer.vocabulary import TokenType, Vocabulary, numbers, scalar

SPACE = "▁"
"""SentencePiece's spelling of a space."""
_BONUS = 0.1
"""The score of each byte of a user-defined token except one. Log-probabilities are below 0.

SentencePiece 0.2.3 does the same. Earlier versions gave such a token -0.1 for any length.
"""
BYTE_TOKENS = {f"<0x{byte:02X}>": bytes([byte]) for byte in range(256)}


class Normalizer(msgspec.Struct, frozen=True, kw_only=True):
    """How a SentencePiece model changes a text before it searches for tokens."""

    charsmap: CharsMap | None
    kept: re.Pattern[str]
    """User-defined tokens. The character map does not change them."""
    space_prefix: bool
    """A text starts with a space, so that its first word is spelled like every other word."""
    remove_extra_spaces: bool
    """Remove spaces at the ends of a text, and repeated spaces inside it."""

    @classmethod
    def read(cls, metadata: Mapping[str, Any], vocabulary: Vocabulary) -> Normalizer:
        """Read it from a GGUF file's metadata. Raises ModelFileError."""
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
        """The text in the spelling of the tokens. Raises ValueError for lone surrogates."""
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
    """Text -> ids with SentencePiece's BPE.

    Raises ModelFileError if scores or some of the 256 byte tokens are missing.
    """
    ids = {_spelt(token): i for token, i in vocabulary.writable().items()}
    check_bytes(ids)
    merges = _scored_merges(vocabulary, _scores(metadata, vocabulary))
    encoder = Tokenizer(models.BPE(ids, merges, byte_fallback=True))
    add_user_defined(encoder, vocabulary, _spelt)
    return lambda text: library_encode(encoder, normalizer(text))


def merged_bpe(metadata: Mapping[str, Any], vocabulary: Vocabulary) -> Encode:
    """Text -> ids with the merges of the file.

    As in llama.cpp, runs of line breaks are apart from other text, and a run that is a token
    becomes it. Raises ModelFileError for merges of unknown tokens, or if a byte token is missing.
    """
    ids = vocabulary.writable()
    check_bytes(ids)
    merges = stated_merges(metadata, vocabulary, ids)
    encoder = Tokenizer(models.BPE(ids, merges, byte_fallback=True))
    encoder.pre_tokenizer = pre_tokenizers.Split(Regex(LINES), "isolated")
    add_user_defined(encoder, vocabulary, _spelt)
    runs = [token for token in ids if len(token) > 1 and not token.strip("\n")]
    encoder.add_tokens([AddedToken(run, normalized=False) for run in runs])
    return lambda text: library_encode(encoder, _spelt(text))


def unigram(metadata: Mapping[str, Any], vocabulary: Vocabulary, normalizer: Normalizer) -> Encode:
    """Text -> ids with the Viterbi algorithm over the tokens' scores.

    Without byte tokens, each run of characters without tokens becomes one unknown token. If two
    results have the same score, we use the first. In SentencePiece, rounding decides. Raises
    ModelFileError if the scores or the unknown token are missing.
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
        whole = encoder.encode(
            text, add_special_tokens=False
        )  # the fast call does not return texts
        return [
            part
            for i, piece in zip(ids, whole.tokens, strict=True)
            for part in ([of_byte[byte] for byte in piece.encode()] if i == unknown else [i])
        ]

    return encode


def check_bytes(ids: Mapping[str, int]) -> None:
    """Raise ModelFileError if a byte has no token."""
    missing = next((token for token in BYTE_TOKENS if token not in ids), None)
    if missing:
        raise ModelFileError(f"The model file's vocabulary lacks the byte token {missing}.")


def token_table(vocabulary: Vocabulary) -> list[bytes]:
    """Token id -> its bytes in a SentencePiece model."""
    return [
        BYTE_TOKENS.get(token) or token.replace(SPACE, " ").encode() for token in vocabulary.tokens
    ]


def _spelt(token: str) -> str:
    """Text, or a user-defined token that a converter wrote with spaces, in the usual spelling."""
    return token.replace(" ", SPACE)


def _scores(metadata: Mapping[str, Any], vocabulary: Vocabulary) -> np.ndarray:
    if "tokenizer.ggml.scores" not in metadata:
        raise ModelFileError("The model file has no tokenizer.ggml.scores.")
    return numbers(metadata, "tokenizer.ggml.scores", len(vocabulary.tokens), 0).astype(np.float64)


def _scored_merges(vocabulary: Vocabulary, scores: np.ndarray) -> list[tuple[str, str]]:
    """Every pair of tokens that makes a third token, in descending order of the third's score.

    SentencePiece joins two neighbours whose joined text is a token, in this order. If several pairs
    make the same token, the one with the longest left part comes first, as in published
    conversions. Tokens with equal scores, which training does not produce, are sorted by id.
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
    """(text, score) of every token. Tokens that text must not become get an impossible text."""
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
    """Byte -> the id of its token. Empty if a byte has no token."""
    ids = {vocabulary.tokens[i]: i for i in vocabulary.of_type(TokenType.BYTE)}
    return [ids[token] for token in BYTE_TOKENS] if BYTE_TOKENS.keys() <= ids.keys() else []
