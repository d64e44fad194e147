"""How each model family cuts text into words before byte-pair merging, by its GGUF name.

The expressions are those of the families' own tokenizer files; the names are the values that
`tokenizer.ggml.pre` takes in GGUF files.
"""

from __future__ import annotations

from functools import cache

import msgspec

from minikin.errors import ModelFileError


class PreTokenizer(msgspec.Struct, frozen=True, kw_only=True):
    """One family's way to cut text into words."""

    patterns: tuple[str, ...]
    """Applied in turn, each to the pieces that the one before has left: matches become words."""
    nfc: bool = False
    """Text is brought to Unicode form C first."""
    ignore_merges: bool = False
    """A word that is itself a token is taken whole, even where merges would not lead to it."""
    add_bos: bool = False
    """What holds if the file does not say whether a prompt starts with the BOS token."""


_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_DIGIT = r"\p{N}"
_THREE_DIGITS = r"\p{N}{1,3}"


def _words(digits: str, letters: str = r"\p{L}") -> str:
    """The cl100k expression: letters with one mark before them, digits, marks, spaces."""
    return (
        rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[{letters}]+|{digits}"
        rf"| ?[^\s{letters}\p{{N}}]+[\r\n]*|{_SPACES}"
    )


def _cased_words(digits: str, contractions: str = "") -> str:
    """The o200k expression: as `_words`, and a word ends where upper case follows lower case."""
    upper, lower = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
    mark = r"[^\r\n\p{L}\p{N}]?"
    return (
        rf"{mark}[{upper}]*[{lower}]+{contractions}|{mark}[{upper}]+[{lower}]*{contractions}"
        rf"|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
    )


_DEEPSEEK_V3 = (
    _THREE_DIGITS,
    "[一-龥\u3040-ゟ゠-ヿ]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    rf"| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_SPACES}",
)
_DEEPSEEK_CODER = (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥\u0800-一가-\ud7ff]+", _DIGIT)
_FALCON = (r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, r"[0-9][0-9][0-9]")
_DEFAULT = (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]")

_FAMILIES = {
    ("default", ""): PreTokenizer(patterns=_DEFAULT),
    ("gpt-2", "phi-2", "mpt", "olmo", "exaone4"): PreTokenizer(patterns=(_GPT2,)),
    ("smollm", "starcoder", "refact", "codeshell"): PreTokenizer(patterns=(_DIGIT, _GPT2)),
    ("command-r",): PreTokenizer(patterns=(_DIGIT, _GPT2), nfc=True),
    ("falcon",): PreTokenizer(patterns=_FALCON),
    ("llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "lfm2"): PreTokenizer(
        patterns=(_words(_THREE_DIGITS),), ignore_merges=True, add_bos=True
    ),
    ("dbrx", "smaug-bpe", "glm4", "chatglm-bpe"): PreTokenizer(patterns=(_words(_THREE_DIGITS),)),
    ("qwen2",): PreTokenizer(patterns=(_words(_DIGIT),), nfc=True),
    ("deepseek-r1-qwen",): PreTokenizer(patterns=(_words(_DIGIT),)),
    ("qwen35",): PreTokenizer(patterns=(_words(_DIGIT, r"\p{L}\p{M}"),), nfc=True),
    ("tekken",): PreTokenizer(patterns=(_cased_words(_DIGIT),), ignore_merges=True, add_bos=True),
    ("gpt-4o", "llama4"): PreTokenizer(
        patterns=(_cased_words(_THREE_DIGITS, f"{_CONTRACTIONS}?"),)
    ),
    ("deepseek-coder",): PreTokenizer(patterns=_DEEPSEEK_CODER),
    ("deepseek-v3", "hunyuan-dense", "joyai-llm"): PreTokenizer(patterns=_DEEPSEEK_V3),
}
_BY_NAME = {name: family for names, family in _FAMILIES.items() for name in names}


@cache
def known_patterns() -> frozenset[str]:
    """The expressions of all families, each also as tokenizer.json spells it."""
    patterns = {pattern for family in _FAMILIES.values() for pattern in family.patterns}
    return frozenset(pattern.replace(r"[\p{L}]", r"\p{L}") for pattern in patterns)


def pretokenizer(name: str) -> PreTokenizer:
    """The pre-tokenizer of that name; "" is what a file without one gets.

    Raises ModelFileError with the known names if it is none of them.
    """
    if name not in _BY_NAME:
        known = ", ".join(sorted(filter(None, _BY_NAME)))
        raise ModelFileError(
            f"The model file needs the pre-tokenizer {name[:64]!a}. Those known are: {known}."
        )
    return _BY_NAME[name]
