"""The encoder of a Hugging Face tokenizer.json, based on the library that defines the format.

The vocabulary is under GGUF's keys, the rest is JSON under `tokenizer.huggingface.json` (see
folder/vocabulary.py). The library does not get control tokens, so that no text becomes one. Each
component is built here, by name. An unknown component, or a regular expression of no known family,
is an error.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from minikin.errors import ModelFileError
from minikin.tokenizer import bpe, sentencepiece
from minikin.tokenizer.bpe import Encode, library_encode, stated_merges
from minikin.tokenizer.charsmap import CharsMap
from minikin.tokenizer.pretokenizer import known_patterns
from minikin.tokenizer.vocabulary import TokenType, Vocabulary, numbers, scalar

KEY = "tokenizer.huggingface.json"
_MOST_BYTES = 4 * 1024 * 1024
_SPACES_REGEX = " {2,}"
"""Normalizers of unigram models replace this with one space."""

Spec = Mapping[str, Any]


class JsonEncoder:
    """Text -> ids as in tokenizer.json. Raises ModelFileError for unsupported parts."""

    def __init__(self, metadata: Mapping[str, Any], vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._metadata = metadata
        self._spec = _read(metadata)
        self._ids = vocabulary.writable()
        pre = self._spec.get("pre_tokenizer")
        self.byte_level = _has(pre, "ByteLevel")
        self.space_prefix = _has(self._spec.get("normalizer"), "Prepend") or _prefixes(pre)
        """The first word of a text is spelled with a space before it."""
        self.encode: Encode = self._build(pre)
        """For a text at the start of a prompt."""
        later = _never_first(pre)
        self.encode_later: Encode = self._build(later) if later != pre else self.encode
        """For a text after a control token."""
        self.strip_left, self.strip_right = self._strips()
        """Ids of control tokens that remove the white space before them, and after them."""

    def token_table(self, vocabulary: Vocabulary) -> list[bytes]:
        """Token id -> its bytes."""
        return (bpe if self.byte_level else sentencepiece).token_table(vocabulary)

    def _build(self, pre: Any) -> Encode:
        # First, so that the user reads about an unknown component before anything else.
        normalizer = _component(self._spec.get("normalizer"), _NORMALIZERS)
        pre_tokenizer = _component(pre, _PRE_TOKENIZERS)
        encoder = Tokenizer(self._model())
        if normalizer is not None:
            encoder.normalizer = normalizer
        if pre_tokenizer is not None:
            encoder.pre_tokenizer = pre_tokenizer
        encoder.add_tokens(self._added())
        return lambda text: library_encode(encoder, text)

    def _model(self) -> models.Model:
        spec = self._spec["model"]
        for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
            if spec.get(key):
                raise _unknown(f"model.{key}", spec[key])
        if spec.get("type") == "Unigram":
            return self._unigram(spec)
        fallback = _flag(spec, "byte_fallback")
        if not self.byte_level:
            # Without bytes, the library silently drops characters that have no token.
            if not fallback:
                raise _unknown("pre_tokenizer", "without ByteLevel, byte_fallback")
            sentencepiece.check_bytes(self._ids)
        merges = self._metadata.get("tokenizer.ggml.merges")
        if not isinstance(merges, list) or merges:  # an empty list means only bytes
            merges = stated_merges(self._metadata, self._vocabulary, self._ids)
        ignore = _flag(spec, "ignore_merges")
        return models.BPE(self._ids, merges, byte_fallback=fallback, ignore_merges=ignore)

    def _unigram(self, spec: Spec) -> models.Model:
        """Tokens that text must not become get a spelling with a space, which text cannot have."""
        vocabulary = self._vocabulary
        unknown = next(iter(vocabulary.of_type(TokenType.UNKNOWN)), None)
        if unknown is None:
            unknown = spec.get("unk_id")
        if type(unknown) is not int or not 0 <= unknown < len(vocabulary.tokens):
            raise ModelFileError("The tokenizer has no unknown token.")
        if not (_prefixes(self._spec.get("pre_tokenizer")) or _replaces_spaces(self._spec)):
            raise _unknown("pre_tokenizer", "Unigram without Metaspace")
        scores = numbers(self._metadata, "tokenizer.ggml.scores", len(vocabulary.tokens), 0)
        least = float(scores.min())
        pieces = [(f" {i}", least) for i in range(len(vocabulary.tokens))]
        for token, i in self._ids.items():
            pieces[i] = (token, float(scores[i]))
        return models.Unigram(pieces, unknown, _flag(spec, "byte_fallback"))

    def _added(self) -> list[AddedToken]:
        return [
            AddedToken(
                token["content"],
                **{key: _flag(token, key) for key in ("single_word", "lstrip", "rstrip")},
                normalized=_flag(token, "normalized"),
            )
            for token in self._stated_tokens()
            if token["content"] in self._ids
        ]

    def _strips(self) -> tuple[frozenset[int], frozenset[int]]:
        control = self._vocabulary.control_tokens
        tokens = [token for token in self._stated_tokens() if token["content"] in control]
        left, right = (
            frozenset(control[token["content"]] for token in tokens if _flag(token, side))
            for side in ("lstrip", "rstrip")
        )
        return left, right

    def _stated_tokens(self) -> list[Spec]:
        tokens = self._spec.get("added_tokens") or []
        if not isinstance(tokens, list) or not all(
            isinstance(token, dict) and isinstance(token.get("content"), str) for token in tokens
        ):
            raise ModelFileError("The tokenizer's added tokens are not a list of tokens.")
        return tokens


def _read(metadata: Mapping[str, Any]) -> Spec:
    text = scalar(metadata, KEY, "")
    if len(text) > _MOST_BYTES:
        raise ModelFileError(f"The model file's {KEY} has more than {_MOST_BYTES} characters.")
    try:
        spec = msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ModelFileError(f"The model file's {KEY} is not valid JSON.") from error
    if not isinstance(spec, dict) or not isinstance(spec.get("model"), dict):
        raise ModelFileError(f"The model file's {KEY} does not describe a tokenizer.")
    return spec


def _component(spec: Any, known: Mapping[str, Callable[[Spec], Any]]) -> Any:
    """The library's object for `spec`, or None."""
    if spec is None:
        return None
    name = spec.get("type") if isinstance(spec, dict) else spec
    if not isinstance(name, str) or name not in known:
        raise ModelFileError(
            f"The tokenizer needs {ascii(name)[:64]}, which is not supported. Supported: "
            f"{', '.join(sorted(known))}."
        )
    try:
        return known[name](spec)
    # The library's errors. Its panics for malformed input are not an Exception.
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise _unknown(name, error) from error


def _parts(spec: Spec, key: str) -> list[Any]:
    parts = spec[key]
    if not isinstance(parts, list) or len(parts) > 64:
        raise TypeError(f"{key} is not a list")
    if any(isinstance(part, dict) and part.get("type") == "Sequence" for part in parts):
        raise TypeError("a sequence inside a sequence")
    return parts


def _text(spec: Spec, key: str) -> str:
    if not isinstance(spec[key], str) or len(spec[key]) > 1024:
        raise TypeError(f"{key} is not a short string")
    return spec[key]


def _flag(spec: Spec, key: str, default: bool = False) -> bool:
    value = spec.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise _unknown(key, value)
    return value


def _pattern(spec: Spec) -> str | Regex:
    """A string, or an expression of a known family. Other expressions can take forever."""
    pattern = spec["pattern"]
    if "String" in pattern:
        text = _text(pattern, "String")
        if not text:
            raise ValueError("an empty pattern")
        return text
    regex = _text(pattern, "Regex")
    if regex != _SPACES_REGEX and regex.replace(r"[\p{L}]", r"\p{L}") not in known_patterns():
        raise ValueError(f"the expression {regex[:64]!a} is not one of a known family")
    return Regex(regex)


def _split(spec: Spec) -> pre_tokenizers.PreTokenizer:
    behaviors = {
        "Removed": "removed", "Isolated": "isolated", "MergedWithNext": "merged_with_next",
        "MergedWithPrevious": "merged_with_previous", "Contiguous": "contiguous",
    }  # fmt: skip
    behavior = behaviors[_text(spec, "behavior")]
    return pre_tokenizers.Split(_pattern(spec), behavior, _flag(spec, "invert"))


def _byte_level(spec: Spec) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.ByteLevel(
        add_prefix_space=_flag(spec, "add_prefix_space", True),
        use_regex=_flag(spec, "use_regex", True),
    )


def _metaspace(spec: Spec) -> pre_tokenizers.PreTokenizer:
    if _text(spec, "replacement") != sentencepiece.SPACE:
        raise ValueError("a replacement that is not U+2581")
    return pre_tokenizers.Metaspace(
        sentencepiece.SPACE, prepend_scheme=_scheme(spec), split=_flag(spec, "split", True)
    )


def _scheme(spec: Spec) -> Literal["always", "first", "never"]:
    """Where Metaspace puts a space before a text. Older files have only a flag."""
    scheme = spec.get("prepend_scheme")
    if scheme is None:
        return "always" if _flag(spec, "add_prefix_space", True) else "never"
    if scheme not in ("always", "first", "never"):
        raise _unknown("prepend_scheme", scheme)
    return scheme


def _precompiled(spec: Spec) -> normalizers.Normalizer:
    charsmap = base64.b64decode(_text_of_map(spec), validate=True)
    # Our own reader checks whether it is complete.
    CharsMap.read({"tokenizer.ggml.precompiled_charsmap": np.frombuffer(charsmap, np.uint8)})
    return normalizers.Precompiled(charsmap)


def _text_of_map(spec: Spec) -> str:
    value = spec["precompiled_charsmap"]
    if not isinstance(value, str):
        raise TypeError("precompiled_charsmap is not a string")
    return value


_NORMALIZERS: dict[str, Callable[[Spec], normalizers.Normalizer]] = {
    "NFC": lambda _: normalizers.NFC(),
    "NFD": lambda _: normalizers.NFD(),
    "NFKC": lambda _: normalizers.NFKC(),
    "NFKD": lambda _: normalizers.NFKD(),
    "Prepend": lambda spec: normalizers.Prepend(_text(spec, "prepend")),
    "Replace": lambda spec: normalizers.Replace(_pattern(spec), _text(spec, "content")),
    "Strip": lambda spec: normalizers.Strip(
        _flag(spec, "strip_left", True), _flag(spec, "strip_right", True)
    ),
    "Precompiled": _precompiled,
    "Sequence": lambda spec: normalizers.Sequence(
        [_component(part, _NORMALIZERS) for part in _parts(spec, "normalizers")]
    ),
}
_PRE_TOKENIZERS: dict[str, Callable[[Spec], pre_tokenizers.PreTokenizer]] = {
    "ByteLevel": _byte_level,
    "Digits": lambda spec: pre_tokenizers.Digits(_flag(spec, "individual_digits")),
    "Metaspace": _metaspace,
    "Split": _split,
    "Sequence": lambda spec: pre_tokenizers.Sequence(
        [_component(part, _PRE_TOKENIZERS) for part in _parts(spec, "pretokenizers")]
    ),
}


def _flat(spec: Any) -> list[Any]:
    """A component as a list, or the components of a sequence."""
    if isinstance(spec, dict) and spec.get("type") == "Sequence":
        parts = spec.get("pretokenizers") or spec.get("normalizers")
        return parts if isinstance(parts, list) else []
    return [spec]


def _has(spec: Any, name: str) -> bool:
    return any(isinstance(part, dict) and part.get("type") == name for part in _flat(spec))


def _prefixes(pre: Any) -> bool:
    return any(
        isinstance(part, dict) and part.get("type") == "Metaspace" and _scheme(part) != "never"
        for part in _flat(pre)
    )


def _replaces_spaces(spec: Spec) -> bool:
    return any(
        isinstance(part, dict)
        and part.get("type") == "Replace"
        and part.get("pattern") == {"String": " "}
        for part in _flat(spec.get("normalizer"))
    )


def _never_first(pre: Any) -> Any:
    """The same component for a text that is not at the start of its prompt."""
    if not isinstance(pre, dict):
        return pre
    if pre.get("type") == "Sequence" and isinstance(pre.get("pretokenizers"), list):
        return pre | {"pretokenizers": [_never_first(part) for part in pre["pretokenizers"]]}
    if pre.get("type") == "Metaspace" and _scheme(pre) == "first":
        return pre | {"prepend_scheme": "never"}
    return pre


def _unknown(name: str, value: Any) -> ModelFileError:
    return ModelFileError(
        f"The tokenizer's {name} is not supported: {ascii(str(value))[1:-1][:96]}."
    )
