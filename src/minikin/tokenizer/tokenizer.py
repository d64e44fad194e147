"""Turns text into token ids and back, as a model's file defines it."""

from __future__ import annotations

import os
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from minikin.errors import ModelFileError
from minikin.tokenizer import bpe, sentencepiece
from minikin.tokenizer.huggingface import JsonEncoder
from minikin.tokenizer.pretokenizer import pretokenizer
from minikin.tokenizer.vocabulary import Vocabulary, scalar

# One text per call does not need the library's thread pool, and the pool warns at every fork.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""Unicode's white space, which tokens of some models remove. Python's has four more."""


class Tokenizer:
    """The tokenizer of one model. It is thread-safe.

    Text never becomes a control token. Only `encode_pieces` and `encode_prompt` write control
    tokens.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        encode: bpe.Encode,
        table: Callable[[Vocabulary], list[bytes]],
        *,
        space_prefix: bool,
        add_bos: bool,
        chat_template: str | None,
        encode_later: bpe.Encode | None = None,
        strips: tuple[frozenset[int], frozenset[int]] = (frozenset(), frozenset()),
    ) -> None:
        self._vocabulary = vocabulary
        self._encode = encode
        self._encode_later = encode_later or encode
        self._strips_before, self._strips_after = strips
        self._table = table
        self._space_prefix = space_prefix
        self.vocab_size = len(vocabulary.tokens)
        self.control_tokens: Mapping[str, int] = vocabulary.control_tokens
        """Text -> id of the tokens that only `encode_pieces` writes."""
        self.frame_marks: Mapping[str, int] = vocabulary.frame_marks
        """The control tokens that mark tool calls or channels. Only these have bytes."""
        self.bos_id = vocabulary.bos_id
        self.eos_ids = vocabulary.end_ids
        """Every token that ends an answer."""
        self.add_bos = add_bos
        """Prompts start with `bos_id`. A chat template can write it itself."""
        self.chat_template = chat_template
        self.bos_token = "" if self.bos_id is None else vocabulary.tokens[self.bos_id]
        self.eos_token = vocabulary.tokens[vocabulary.eos_id]

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, Any]) -> Tokenizer:
        """Build the tokenizer from a model file's metadata, under GGUF's keys.

        Raises ModelFileError if the tokenizer is missing, broken or not supported.
        """
        vocabulary = Vocabulary.read(metadata)
        model = scalar(metadata, "tokenizer.ggml.model", "")
        later, strips = None, (frozenset[int](), frozenset[int]())
        if model == "gpt2":
            family = pretokenizer(scalar(metadata, "tokenizer.ggml.pre", ""))
            encode, table = bpe.byte_level_bpe(metadata, vocabulary, family), bpe.token_table
            space_prefix, bos_default = False, family.add_bos
        elif model in ("llama", "t5"):
            normalizer = sentencepiece.Normalizer.read(metadata, vocabulary)
            make = sentencepiece.scored_bpe if model == "llama" else sentencepiece.unigram
            encode, table = make(metadata, vocabulary, normalizer), sentencepiece.token_table
            space_prefix, bos_default = normalizer.space_prefix, model == "llama"
            strips = frozenset[int](), _stripping_ids(metadata, vocabulary)
        elif model == "gemma4":
            encode = sentencepiece.merged_bpe(metadata, vocabulary)
            table, space_prefix, bos_default = sentencepiece.token_table, False, True
        elif model == "huggingface":
            json = JsonEncoder(metadata, vocabulary)
            encode, later, table = json.encode, json.encode_later, json.token_table
            space_prefix, bos_default = json.space_prefix, False
            strips = json.strip_left, json.strip_right
        else:
            raise ModelFileError(
                f"The model file has the unsupported tokenizer {model[:64]!a}. Supported: gpt2 "
                "(byte-level BPE), llama (SentencePiece BPE), t5 (SentencePiece unigram), gemma4."
            )
        add_bos = scalar(metadata, "tokenizer.ggml.add_bos_token", bos_default)
        return cls(
            vocabulary,
            encode,
            table,
            space_prefix=space_prefix,
            add_bos=add_bos and vocabulary.bos_id is not None,
            chat_template=scalar(metadata, "tokenizer.chat_template", "") or None,
            encode_later=later,
            strips=strips,
        )

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, without control tokens and without BOS.

        A byte that is missing in a byte-level vocabulary gives no token, as in the models' own
        tokenizers. Raises ValueError for lone surrogates.
        """
        return self._encode(text)

    def encode_pieces(self, pieces: Iterable[tuple[str, bool]]) -> list[int]:
        """The ids of a prompt that is given as (text, is_control) pieces.

        Adjacent texts are encoded as one. Raises ValueError for a control piece that is not exactly
        the text of one control token.
        """
        ids: list[int] = []
        texts: list[str] = []
        for piece, is_control in pieces:
            if not is_control:
                texts.append(piece)
                continue
            if piece not in self.control_tokens:
                raise ValueError(f"{piece!r} is not a control token")
            control = self.control_tokens[piece]
            ids += self._between("".join(texts), ids[-1] if ids else None, control)
            ids.append(control)
            texts.clear()
        return ids + self._between("".join(texts), ids[-1] if ids else None, None)

    def _between(self, text: str, before: int | None, after: int | None) -> list[int]:
        """The ids of a text between two control tokens, or at the start or end of a prompt."""
        if before in self._strips_after:
            text = text.lstrip(WHITE_SPACE)
        if after in self._strips_before:
            text = text.rstrip(WHITE_SPACE)
        return self._encode(text) if before is None else self._encode_later(text)

    def encode_prompt(self, pieces: Iterable[tuple[str, bool]]) -> list[int]:
        """As `encode_pieces`, for a complete prompt: never empty, and with BOS if required.

        If prompts start with BOS, the chat template can omit it.
        """
        ids = self.encode_pieces(pieces)
        start = self._vocabulary.eos_id if self.bos_id is None else self.bos_id
        if not ids or (self.add_bos and ids[0] != start):
            ids.insert(0, start)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`. Control tokens give nothing, and broken UTF-8 gives U+FFFD."""
        data = b"".join(self.token_bytes(token_id) for token_id in ids)
        if self._space_prefix:  # `encode` added it
            data = data.removeprefix(b" ")
        return data.decode(errors="replace")

    def starts(self, ids: Iterable[int]) -> Iterator[int]:
        """For each token the place in `decode(ids)` where it begins, in characters.

        A token that continues a character begins with it.
        """
        decoder, length, first = getincrementaldecoder("utf-8")("replace"), 0, self._space_prefix
        for token_id in ids:
            yield length
            data = self.token_bytes(token_id)
            length += len(decoder.decode(data.removeprefix(b" ") if first else data))
            first = first and not data

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes of one token, possibly part of a character. b"" for most control tokens."""
        return self._bytes[token_id]

    def free_bytes(self) -> list[bytes]:
        """Token id -> its bytes. b"" for marks, which cannot be in free text."""
        table = list(self._bytes)
        for token_id in self.frame_marks.values():
            table[token_id] = b""
        return table

    @cached_property
    def _bytes(self) -> list[bytes]:
        table = self._table(self._vocabulary)
        for token_id in self._vocabulary.silent_ids:
            table[token_id] = b""
        return table


def _stripping_ids(metadata: Mapping[str, Any], vocabulary: Vocabulary) -> frozenset[int]:
    """The markers of a GGUF file that remove the white space after them.

    GGUF has no key for this. Those of Phi-3 and Phi-3.5 do, as their tokenizer.json says. llama.cpp
    finds them by the model's name, too.
    """
    name = f"{metadata.get('general.architecture')} {metadata.get('general.name')}".lower()
    if not any(spelling in name for spelling in ("phi3", "phi-3", "phi 3")):
        return frozenset()
    kept = {"<unk>", "<s>", "<|endoftext|>"}
    return frozenset(i for text, i in vocabulary.control_tokens.items() if text not in kept)
