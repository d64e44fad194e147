"""The byte-level BPE encoder of a GGUF file's vocabulary, based on the `tokenizers` library.

GGUF's name of this model is "gpt2" (GPT-2, Llama 3, Qwen, SmolLM). Tokens spell bytes in an
alphabet of 256 printable characters, and merge in a given order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
)

from minikin.errors import ModelFileError
from minikin.tokenizer.pretokenizer import PreTokenizer
from minikin.tokenizer.vocabulary import TokenType, Vocabulary, texts

Encode = Callable[[str], list[int]]
"""Text -> ids. Raises ValueError for lone surrogates."""


def byte_level_bpe(
    metadata: Mapping[str, Any], vocabulary: Vocabulary, pretokenizer: PreTokenizer
) -> Encode:
    """Text -> ids for a byte-level model. Raises ModelFileError for merges of unknown tokens."""
    ids = vocabulary.writable()
    merges = stated_merges(metadata, vocabulary, ids)
    encoder = Tokenizer(models.BPE(ids, merges, ignore_merges=pretokenizer.ignore_merges))
    if pretokenizer.nfc:
        encoder.normalizer = normalizers.NFC()
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in pretokenizer.patterns]
    to_alphabet = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    encoder.pre_tokenizer = pre_tokenizers.Sequence([*splits, to_alphabet])
    add_user_defined(encoder, vocabulary)
    return lambda text: library_encode(encoder, text)


def token_table(vocabulary: Vocabulary) -> list[bytes]:
    """Token id -> its bytes in a byte-level model."""
    table = [_from_alphabet(token) for token in vocabulary.tokens]
    for token_id in vocabulary.of_type(TokenType.USER_DEFINED):
        table[token_id] = vocabulary.tokens[token_id].encode()
    return table


def _from_alphabet(token: str) -> bytes:
    try:
        return token.translate(_BYTE_OF).encode("latin-1")
    except UnicodeEncodeError:  # not in the alphabet: the token is its own text
        return token.encode()


def _alphabet() -> dict[int, int]:
    """Code point -> byte in GPT-2's alphabet: printable Latin-1 unchanged, the rest from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: byte for byte in printable} | {256 + i: byte for i, byte in enumerate(others)}


_BYTE_OF = _alphabet()


def stated_merges(
    metadata: Mapping[str, Any], vocabulary: Vocabulary, ids: dict[str, int]
) -> list[tuple[str, str]]:
    """The merges of tokens in `ids`, in the order of the file. Raises ModelFileError."""
    merges: list[tuple[str, str]] = []
    for line in texts(metadata, "tokenizer.ggml.merges"):
        left, _, right = line.partition(" ")
        if left in ids and right in ids and left + right in ids:
            merges.append((left, right))
        elif not {left, right, left + right} & vocabulary.control_tokens.keys():
            raise ModelFileError(
                f"The model file's merge {line[:64]!a} needs tokens that do not exist."
            )
        # A merge into a control token is skipped: text must never become one.
    return merges


def add_user_defined(
    encoder: Tokenizer, vocabulary: Vocabulary, spelt: Callable[[str], str] = str
) -> None:
    """Match tokens such as <h1>, or a run of spaces, in the text before it is split.

    `spelt` turns a token's text into the spelling that the encoder sees.
    """
    encoder.add_tokens(
        [AddedToken(spelt(token), normalized=False) for token in vocabulary.user_defined()]
    )


def library_encode(encoder: Tokenizer, text: str) -> list[int]:
    """The library's ids for a text. Raises ValueError for lone surrogates."""
    # The batch call keeps no offsets, which halves the time, and releases the GIL.
    try:
        return encoder.encode_batch_fast([text], add_special_tokens=False)[0].ids
    except TypeError as error:
        raise ValueError("The text has a lone surrogate, which is not a character.") from error
