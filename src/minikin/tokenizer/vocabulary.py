"""A model's vocabulary from its GGUF file, checked once.

The keys and the token types are those of the GGUF specification (ggml, docs/gguf.md).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, TypeVar

import msgspec
import numpy as np

from minikin.errors import ModelFileError
from minikin.marks import CALL_MARKS, CHANNEL_MARKS, PYTHON_TAG, THOUGHT_MARKS

log = logging.getLogger(__name__)

Value = TypeVar("Value")
_NONE = (-1, 2**32 - 1)
"""What converters write for a special token that the model does not have."""


class TokenType(IntEnum):
    """The purpose of a token."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


_END_TEXTS = (
    "<|endoftext|>",
    "<|im_end|>",
    "<|end_of_text|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|END_OF_TURN_TOKEN|>",
    "<end_of_turn>",
    "<turn|>",
    "<|tool_response>",
    "<eos>",
    "<|return|>",
    "<|call|>",
    "</s>",
    "<｜end▁of▁sentence｜>",
)
"""Control tokens that end an answer in the known families. Files often name only one."""
_VISIBLE_MARKS = frozenset((*CALL_MARKS, *THOUGHT_MARKS, PYTHON_TAG))
"""Tokens that separate reasoning, content and tool calls. The answer's reader must see them."""

_LONGEST_TOKEN = 1024
_MOST_CHARACTERS = 1 << 24
"""In one token, and in all tokens, because every position is tried as a split. Published
vocabularies have 2 million."""


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens and their types."""

    tokens: list[str]
    """Token id -> its text in the spelling of the file. All are different."""
    types: np.ndarray
    """Token id -> TokenType, int [vocab_size]."""
    bos_id: int | None
    eos_id: int
    end_ids: frozenset[int]
    """Every token that ends an answer, including `eos_id`."""
    silent_ids: frozenset[int]
    """Tokens without text: the unknown token, and control tokens except marks."""
    control_tokens: dict[str, int]
    """Text -> id of the tokens that plain text never becomes."""
    frame_marks: dict[str, int]
    """Text -> id of the control tokens that mark tool calls or channels in an answer."""

    @classmethod
    def read(cls, metadata: Mapping[str, Any]) -> Vocabulary:
        """Read the vocabulary from a GGUF file's metadata.

        Raises ModelFileError if tokens are missing, duplicate or too long, if the length of a list
        differs from the number of tokens, or if no token ends an answer.
        """
        tokens = _named(texts(metadata, "tokenizer.ggml.tokens"))
        _check_lengths(tokens)
        if len(set(tokens)) < len(tokens):
            raise ModelFileError(f"The model file has the token {_first_double(tokens)!a} twice.")
        types = numbers(metadata, "tokenizer.ggml.token_type", len(tokens), TokenType.NORMAL)
        if not np.isin(types, range(7)).all():
            raise ModelFileError("The model file has token types outside 0 to 6.")
        special = {
            name: _token_id(metadata, f"tokenizer.ggml.{name}_token_id", len(tokens))
            for name in ("bos", "eos", "eot", "eom")
        }
        more_ends = _end_ids(metadata, len(tokens))
        named = {i for i in special.values() if i is not None} | more_ends
        template = scalar(metadata, "tokenizer.chat_template", "")
        silent = (
            _silent_ids(tokens, types) | named | _untyped_ids(metadata, tokens, types, template)
        )
        markup = _markup_ids(tokens, types, template)
        named_ends = {special[name] for name in ("eos", "eot", "eom")} | more_ends
        known_ends = {i for i in silent | markup if tokens[i] in _END_TEXTS}
        silent |= known_ends
        channels = {tokens[i]: i for i in silent if tokens[i] in CHANNEL_MARKS}
        if len(channels) < len(CHANNEL_MARKS):
            channels = {}
        ends = {i for i in named_ends | known_ends if i is not None} - set(channels.values())
        if not ends:
            raise ModelFileError("The model file has no token that ends an answer.")
        control = {tokens[i]: i for i in sorted(silent | markup)}
        calls = {text: i for text, i in control.items() if text in CALL_MARKS}
        marks = {i for i in silent if tokens[i] in _VISIBLE_MARKS or tokens[i] in channels} - ends
        return cls(
            tokens=tokens,
            types=types,
            bos_id=special["bos"],
            eos_id=special["eos"] if special["eos"] is not None else min(ends),
            end_ids=frozenset(ends),
            silent_ids=frozenset(silent - marks),
            control_tokens=control,
            frame_marks=channels | calls,
        )

    def writable(self) -> dict[str, int]:
        """Text -> id of the tokens that plain text can become."""
        ids = dict(zip(self.tokens, range(len(self.tokens)), strict=True))
        unused = (self.tokens[i] for i in self.of_type(TokenType.UNUSED))
        for text in (*self.control_tokens, *unused):
            ids.pop(text, None)
        return ids

    def user_defined(self) -> list[str]:
        """The tokens that plain text becomes wherever it contains them."""
        defined = (self.tokens[i] for i in self.of_type(TokenType.USER_DEFINED))
        return [token for token in defined if token not in self.control_tokens]

    def of_type(self, kind: TokenType) -> list[int]:
        """The ids of all tokens of one type."""
        return np.flatnonzero(self.types == kind).tolist()


def texts(metadata: Mapping[str, Any], key: str) -> list[str]:
    """A required list of strings. Raises ModelFileError."""
    value = metadata.get(key)
    if not isinstance(value, list) or not value:
        raise ModelFileError(f"The model file has no list of strings {key}.")
    return value


def numbers(metadata: Mapping[str, Any], key: str, count: int, default: float) -> np.ndarray:
    """An array of `count` numbers, or `default` for all if missing. Raises ModelFileError."""
    value = metadata.get(key)
    if value is None:
        return np.full(count, default)
    if not isinstance(value, np.ndarray) or len(value) != count or value.dtype.kind not in "iuf":
        raise ModelFileError(f"The model file's {key} is not an array of {count} numbers.")
    if not np.isfinite(value).all():
        raise ModelFileError(f"The model file's {key} has a value that is not a finite number.")
    return value


def scalar(metadata: Mapping[str, Any], key: str, default: Value) -> Value:
    """A single value. Raises ModelFileError if its type is not that of the default."""
    value = metadata.get(key, default)
    if type(value) is not type(default):
        raise ModelFileError(f"The model file's {key} is not of type {type(default).__name__}.")
    return value


def _named(tokens: list[str]) -> list[str]:
    """The tokens, with a name for each empty one after the first, so that all are different."""
    if tokens.count("") < 2:
        return tokens
    return [token or f"[EMPTY_{i}]" for i, token in enumerate(tokens)]


def _token_id(metadata: Mapping[str, Any], key: str, count: int) -> int | None:
    """The id, or None. An id that no token has means none, as in llama.cpp."""
    if key not in metadata:
        return None
    token_id = scalar(metadata, key, 0)
    if 0 <= token_id < count:
        return token_id
    if token_id not in _NONE:
        log.warning("The model file's %s is %d, which is not the id of a token: ignored.",
                    key, token_id)  # fmt: skip
    return None


def _end_ids(metadata: Mapping[str, Any], count: int) -> set[int]:
    """The end tokens of a folder, in addition to those that have GGUF keys."""
    key = "tokenizer.end_token_ids"
    if key not in metadata:
        return set()
    value = metadata[key]
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu" or value.ndim != 1:
        raise ModelFileError(f"The model file's {key} is not an array of ids.")
    if not all(0 <= i < count for i in value):
        raise ModelFileError(f"The model file's {key} has ids outside 0 to {count - 1}.")
    return set(value.tolist())


def _check_lengths(tokens: list[str]) -> None:
    lengths = [len(token) for token in tokens]
    for count, most, what in (
        (max(lengths), _LONGEST_TOKEN, "a token"),
        (sum(lengths), _MOST_CHARACTERS, "a vocabulary"),
    ):
        if count > most:
            raise ModelFileError(
                f"The model file has {what} of {count} characters. The maximum is {most}."
            )


def _first_double(tokens: list[str]) -> str:
    seen: set[str] = set()
    return next(token for token in tokens if token in seen or seen.add(token))[:64]


def _silent_ids(tokens: list[str], types: np.ndarray) -> set[int]:
    silent = np.flatnonzero(np.isin(types, (TokenType.CONTROL, TokenType.UNKNOWN))).tolist()
    # Converters mark some turn markers as "user defined". The form <|...|> identifies them.
    marked = np.flatnonzero(types == TokenType.USER_DEFINED).tolist()
    return {*silent, *(i for i in marked if _is_turn_marker(tokens[i]))}


_MARKER = re.compile(r"<[^<>\s]{1,64}>|\[/?[A-Z_]{1,64}\]|<｜[^<>]{1,64}｜>")
"""How turn markers look in chat templates."""


def _untyped_ids(
    metadata: Mapping[str, Any], tokens: list[str], types: np.ndarray, template: str
) -> set[int]:
    """Ids of turn markers that a converter typed as ordinary tokens.

    Text never becomes such a token: no two other tokens make it. If the chat template contains it,
    or if it has the form <|...|>, it is a marker.
    """
    written = set(_MARKER.findall(template))
    found = {
        i for i in np.flatnonzero(types == TokenType.NORMAL).tolist()
        if tokens[i] in written or _is_turn_marker(tokens[i])
    }  # fmt: skip
    if not found:
        return found
    merges = metadata.get("tokenizer.ggml.merges")
    if isinstance(merges, list):
        made = {merge.replace(" ", "", 1) for merge in merges}
        return {i for i in found if tokens[i] not in made}
    known = set(tokens)
    return {i for i in found if not _is_made(tokens[i], known)}


def _is_made(token: str, known: set[str]) -> bool:
    return any(token[:cut] in known and token[cut:] in known for cut in range(1, len(token)))


def _is_turn_marker(token: str) -> bool:
    return token.startswith(("<|", "<｜")) and token.endswith(("|>", "｜>"))


def _markup_ids(tokens: list[str], types: np.ndarray, template: str) -> set[int]:
    """Ids of tokens such as <think> and <tool_call>.

    For a reader they are text. For the model they are a signal, if its chat template contains them.
    Therefore the template can write them, and a user's text cannot.
    """
    defined = np.flatnonzero(types == TokenType.USER_DEFINED).tolist()
    return {i for i in defined if tokens[i].startswith(("<", "[")) and tokens[i] in template}
