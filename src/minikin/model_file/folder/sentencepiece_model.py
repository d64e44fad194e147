"""Translates tokenizer.model, the protobuf of SentencePiece, to GGUF's keys.

The fields are those of SentencePiece's sentencepiece_model.proto, in protobuf's encoding. Only the
fields named here are read. The bytes are treated as untrusted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from minikin.errors import ModelFileError
from minikin.model_file.folder.added import AddedToken, mark_added, numbered
from minikin.tokenizer.vocabulary import TokenType

_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_TEXT, _SCORE, _TYPE = 1, 2, 3
_MODEL_TYPE, _UNIGRAM, _BPE = 3, 1, 2
_SPECIAL = {"bos": (41, 1), "eos": (42, 2)}
"""The trainer's field of a special token's id, and its default."""
_CHARSMAP, _DUMMY_PREFIX, _EXTRA_SPACES = 2, 3, 4
_FIXED = {1: 8, 5: 4}
"""Wire type -> bytes."""


def read_sentencepiece(data: bytes, added: list[AddedToken], size: int) -> dict[str, Any]:
    """GGUF key -> value, for a model with embeddings of `size` tokens.

    `added` are tokens that the tokenizer file does not contain. Raises ModelFileError.
    """
    try:
        texts, scores, kinds, trainer, normalizer = _parse(data)
    except (ValueError, IndexError, struct.error) as error:
        raise ModelFileError(
            "The folder's tokenizer.model is not a SentencePiece model."
        ) from error
    kind = trainer.get(_MODEL_TYPE, _UNIGRAM)
    if kind not in (_UNIGRAM, _BPE):
        raise ModelFileError("The folder's tokenizer.model is neither BPE nor unigram.")
    if not 0 < len(texts) <= size:
        raise ModelFileError(
            f"The folder's tokenizer.model has {len(texts)} tokens, but the model has {size}."
        )
    types = np.full(size, TokenType.UNUSED, dtype=np.int32)
    types[: len(kinds)] = kinds
    all_scores = np.zeros(size)
    all_scores[: len(scores)] = scores
    tokens = dict(enumerate(texts))
    mark_added(added, tokens, types)
    metadata: dict[str, Any] = {
        "tokenizer.ggml.model": "llama" if kind == _BPE else "t5",
        "tokenizer.ggml.tokens": numbered(tokens, size),
        "tokenizer.ggml.scores": all_scores,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.add_space_prefix": bool(normalizer.get(_DUMMY_PREFIX, 1)),
        "tokenizer.ggml.remove_extra_whitespaces": bool(normalizer.get(_EXTRA_SPACES, 1)),
    }
    for name, (field, default) in _SPECIAL.items():
        token_id = trainer.get(field, default)
        if type(token_id) is int and token_id < size and types[token_id] == TokenType.CONTROL:
            metadata[f"tokenizer.ggml.{name}_token_id"] = token_id
    if charsmap := normalizer.get(_CHARSMAP):
        metadata["tokenizer.ggml.precompiled_charsmap"] = np.frombuffer(charsmap, dtype=np.uint8)
    return metadata


_Fields = dict[int, Any]


def _parse(data: bytes) -> tuple[list[str], list[float], list[int], _Fields, _Fields]:
    """Tokens, scores, types, and the fields of the trainer and the normalizer."""
    texts: list[str] = []
    scores: list[float] = []
    kinds: list[int] = []
    trainer: _Fields = {}
    normalizer: _Fields = {}
    for number, value in _fields(data):
        if number == _PIECES:
            piece = dict(_fields(value))
            texts.append(piece[_TEXT].decode() if _TEXT in piece else "")
            scores.append(struct.unpack("<f", piece[_SCORE])[0] if _SCORE in piece else 0.0)
            # Trainers leave out the type of an ordinary token.
            kinds.append(_small(piece.get(_TYPE, int(TokenType.NORMAL))))
        elif number == _TRAINER:
            trainer = dict(_fields(value))
        elif number == _NORMALIZER:
            normalizer = dict(_fields(value))
    return texts, scores, kinds, trainer, normalizer


def _small(value: Any) -> int:
    if type(value) is not int or value > TokenType.BYTE:
        raise ValueError("not a token type")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field. The value is an int, or bytes for all other types."""
    if not isinstance(data, bytes):
        raise ValueError("not a message")
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if wire == 2:
            length, at = _varint(data, at)
        else:
            length = _FIXED.get(wire, len(data) + 1)
        if length > len(data) - at:
            raise ValueError("truncated")
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of up to 64 bits, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number with more than ten bytes")
