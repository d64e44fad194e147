"""Tokens that were added to a vocabulary after its training."""

from __future__ import annotations

import msgspec
import numpy as np

from minikin.errors import ModelFileError
from minikin.tokenizer.vocabulary import TokenType


class AddedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token that is found in text before the text is split, as in tokenizer.json."""

    id: int
    content: str
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False
    special: bool = False


def numbered(tokens: dict[int, str], size: int) -> list[str]:
    """All tokens in the order of their ids. Embeddings without a token get GGUF's placeholder."""
    return [tokens.get(i, f"[PAD{i}]") for i in range(size)]


def mark_added(
    added: list[AddedToken], tokens: dict[int, str], types: np.ndarray
) -> list[AddedToken]:
    """Add tokens to `tokens` and their kinds to `types`. Returns the added tokens.

    A token beyond the embeddings is skipped, because the model cannot read it. Gemma 3 has one for
    images. Raises ModelFileError for a token whose id belongs to another token.
    """
    there = [token for token in added if 0 <= token.id < len(types)]
    for token in there:
        if tokens.setdefault(token.id, token.content) != token.content:
            raise ModelFileError(f"The tokenizer has two tokens with the id {token.id}.")
        types[token.id] = TokenType.CONTROL if token.special else TokenType.USER_DEFINED
    return there
