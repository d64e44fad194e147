"""How each model family splits text into words before byte-pair merging, by its GGUF name.

The expressions are those of the families' tokenizer files. The names are values of
`tokenizer.ggml.pre` in GGUF files.
"""

from __future__ import annotations

from functools import cache

import msgspec

from minikin.errors import ModelFileError


class PreTokenizer(msgspec.Struct, frozen=True, kw_only=True):
    """How one family splits text into words."""

    patterns: tuple[str, ...]
    """Applied in order, each to the remaining pieces. Matches become words."""
    nfc: bool = False
    """Text is first normalized to Unicode form C."""
    ignore_merges: bool = False
    """A word that is a token becomes that token, even if merges do not produce it."""
    add_bos: bool = False
    """Whether a prompt starts with the BOS token, if the file does not say."""


_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_DIGIT = r"\p{N}"
_THREE_DIGITS = r"\p{N}{1,3}"


def _words(digits: str, letters: str = r"\p{L}") -> str:
    """The cl100k expression: letters after at most one mark, digits, marks, spaces."""
    return (
        rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[{letters}]+|{digits}"
        rf"| ?[^\s{letters}\p{{N}}]+[\r\n]*|{_SPACES}"
    )


def _cased_words(digits: str, contractions: str = "") -> str:
    """The o200k expression: as `_words`, but upper case after lower case starts a new word."""
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
_DEEPSEEK_LETTERS = (
    "A-Za-z\xb5\xc0-\xd6\xd8-\xf6\xf8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
    "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1"
    "\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5"
    "\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a"
    "\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d"
    "\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3"
    "\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115"
    "\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149"
    "\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d"
    "\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06"
    "\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3"
    "\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df"
    "\U0001e900-\U0001e943"
)
"""Letters with case, as listed in the tokenizer's file."""
_DEEPSEEK_LLM = (
    r"[\r\n]",
    rf"\s?[{_DEEPSEEK_LETTERS}]+",
    "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
    r"(?<!\s)\s+$",  # only at the first space; otherwise a long run is tried from each space
    "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+",
    r"\p{N}+",
)
LINES = r"[^\n]+|[\n]+"
"""Gemma 4: runs of line breaks, and what is between them."""
_SEED_CODER = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_SPACES}"
)
_POSSESSIVE = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)
_SPARK = (
    _THREE_DIGITS,
    _DEEPSEEK_V3[1],
    _DEEPSEEK_V3[2].replace(rf"[\r\n]*|{_SPACES}", r"|[\r\n]|\s+(?!\S)|\s+"),
    _DIGIT,
)
_YOUTU = (
    "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥\u3040-ゟ゠-ヿ]+",
    _cased_words(_DIGIT, f"{_CONTRACTIONS}?"),
)
_BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"
_SUPERBPE = (r"\p{N}+", r"(?=(?:\d{3}){1,64}(?!\d))")
"""Groups of three digits, from the end of a number. The expression of the tokenizer's file has no
limit, and needs quadratic time. Here, only the last 192 digits of a number are grouped."""
_FALCON = (r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, r"[0-9][0-9][0-9]")
_DEFAULT = (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]")

_FAMILIES = {
    ("default", ""): PreTokenizer(patterns=_DEFAULT),
    (
        "gpt-2",
        "phi-2",
        "mpt",
        "olmo",
        "exaone4",
        "a.x-4.0",
        "mellum",
        "gigachat",
        "trillion",
        "granite-docling",
        "jais",
    ): PreTokenizer(patterns=(_GPT2,)),
    (
        "smollm",
        "starcoder",
        "refact",
        "codeshell",
        "exaone",
        "minerva-7b",
        "mellum2",
    ): PreTokenizer(patterns=(_DIGIT, _GPT2)),
    ("command-r",): PreTokenizer(patterns=(_DIGIT, _GPT2), nfc=True),
    ("falcon",): PreTokenizer(patterns=_FALCON),
    (
        "llama-bpe",
        "llama3",
        "llama-v3",
        "falcon3",
        "falcon-h1",
        "pixtral",
        "midm-2.0",
        "lfm2",
    ): PreTokenizer(patterns=(_words(_THREE_DIGITS),), ignore_merges=True, add_bos=True),
    ("dbrx", "smaug-bpe", "chatglm-bpe"): PreTokenizer(patterns=(_words(_THREE_DIGITS),)),
    ("glm4", "glm5"): PreTokenizer(patterns=(_words(_THREE_DIGITS),), ignore_merges=True),
    ("minicpm5",): PreTokenizer(patterns=(_THREE_DIGITS, _words(r"\p{N}+")), ignore_merges=True),
    ("qwen2",): PreTokenizer(patterns=(_words(_DIGIT),), nfc=True),
    (
        "deepseek-r1-qwen",
        "kormo",
        "megrez",
        "stablelm2",
        "hunyuan",
        "grok-2",
        "solar-open",
    ): PreTokenizer(patterns=(_words(_DIGIT),)),
    ("ufakzeka",): PreTokenizer(patterns=(_words(_DIGIT).removeprefix(f"{_CONTRACTIONS}|"),)),
    ("laguna",): PreTokenizer(patterns=(LINES, _words(_DIGIT))),
    ("qwen35",): PreTokenizer(patterns=(_words(_DIGIT, r"\p{L}\p{M}"),), nfc=True),
    ("tekken",): PreTokenizer(patterns=(_cased_words(_DIGIT),), ignore_merges=True, add_bos=True),
    ("gpt-4o", "llama4", "kanana2", "minimax-m2"): PreTokenizer(
        patterns=(_cased_words(_THREE_DIGITS, f"{_CONTRACTIONS}?"),)
    ),
    ("seed-coder",): PreTokenizer(patterns=(_SEED_CODER,)),
    ("deepseek-llm",): PreTokenizer(patterns=_DEEPSEEK_LLM),
    ("deepseek-coder",): PreTokenizer(patterns=_DEEPSEEK_CODER),
    ("deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"): PreTokenizer(patterns=_DEEPSEEK_V3),
    ("spark2_5",): PreTokenizer(patterns=_SPARK),
    ("youtu",): PreTokenizer(patterns=_YOUTU, ignore_merges=True),
    ("bailingmoe", "bailingmoe2", "llada-moe"): PreTokenizer(patterns=(_POSSESSIVE,)),
    ("bloom", "poro-chat", "gpt3-finnish"): PreTokenizer(patterns=(_BLOOM,)),
    ("viking",): PreTokenizer(patterns=(_BLOOM, _DIGIT)),
    ("superbpe",): PreTokenizer(patterns=_SUPERBPE),
}
_BY_NAME = {name: family for names, family in _FAMILIES.items() for name in names}


@cache
def known_patterns() -> frozenset[str]:
    """The expressions of all families, each also in the spelling of tokenizer.json."""
    patterns = {pattern for family in _FAMILIES.values() for pattern in family.patterns}
    return frozenset(pattern.replace(r"[\p{L}]", r"\p{L}") for pattern in patterns)


def pretokenizer(name: str) -> PreTokenizer:
    """The pre-tokenizer with this name. A file without a name gets that of "".

    Raises ModelFileError with the known names if the name is unknown.
    """
    if name not in _BY_NAME:
        known = ", ".join(sorted(filter(None, _BY_NAME)))
        raise ModelFileError(
            f"The model file needs the unsupported pre-tokenizer {name[:64]!a}. Supported: {known}."
        )
    return _BY_NAME[name]
