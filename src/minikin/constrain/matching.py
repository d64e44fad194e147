"""llguidance for one model's vocabulary, with limits for every grammar."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

LIMITS = LLParserLimits(
    max_lexer_states=50_000,  # at most about 100 MB, instead of 500 MB
    verbose_errors=False,
)

Encode = Callable[[str], list[int]]


class _Vocabulary:
    """The interface that llguidance's wrapper expects of a tokenizer."""

    bos_token_id = None
    special_token_ids: tuple[int, ...] = ()

    def __init__(self, tokens: Sequence[bytes], eos_id: int, encode: Encode) -> None:
        self.tokens = tokens
        self.eos_token_id = eos_id
        self._encode = encode

    def __call__(self, text: str) -> list[int]:
        return self._encode(text)


def matcher_tokenizer(
    tokens: Sequence[bytes], eos_ids: Sequence[int], encode: Encode
) -> LLTokenizer:
    """The vocabulary in llguidance's format.

    `tokens` are the bytes of each id, b"" for control tokens, which a grammar allows only by id.
    `eos_ids` are allowed where a grammar can end. `encode` must return the model's ids for a text.
    """
    wrapper = TokenizerWrapper(_Vocabulary(tokens, eos_ids[0], encode))
    return LLTokenizer(wrapper, eos_token=list(eos_ids), slices=LLTokenizer.json_slices())


def new_matcher(tokenizer: LLTokenizer, grammar: str) -> LLMatcher:
    """A matcher at the start of the grammar. It can be in an error state, see `fault_of`."""
    return LLMatcher(tokenizer, grammar, log_level=0, limits=LIMITS)


def fault_of(matcher: LLMatcher) -> str | None:
    """The reason why the matcher cannot continue, in one line. None if it can."""
    if not matcher.is_error():
        return None
    reason = matcher.get_error().split("<state>")[0].replace("<non-verbose/>", "")
    text = " ".join(reason.split())[:300].replace("Unimplemented keys", "unsupported keywords")
    # The library's name for a state without a next token.
    return "no value can match it." if text.startswith("NoExtension") else text
