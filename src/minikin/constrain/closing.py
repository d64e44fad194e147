"""Finds the shortest way from an answer's state in its grammar to a valid end."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from llguidance import LLMatcher

MAX_WAY = 1024
"""Maximum tokens of a way. If the shortest value is longer, there is no search."""
SHORT = 64
"""Maximum tokens of a way for which a wide search is cheap."""
MAX_STEPS = MAX_WAY
"""Maximum grammar steps of one search, about 30 microseconds each."""
WIDTH = 16
"""The number of states that a wide search keeps at each length."""
FEW = 16
"""If the grammar allows at most this many tokens, a wide search tries each."""
SHARE = 96
"""The number of tokens of each kind that a wide search tries: all single ASCII bytes."""
SAMPLE = 2
"""The same for the first wide search. It also tries all punctuation, which ends what a pattern
repeats, such as the parts of an address."""
IN_STRING = 16
"""If more than one in this many tokens is allowed, the answer is inside a string."""
_SIGNS = re.compile(rb'\\.|["{}\[\]]')
_LEAST = (b"null", b"true", b"false", *(b"%d" % digit for digit in range(10)))

TokenKind = Literal["end", "quote", "least", "filler", "letter", "sign", "other"]
"""How a token can help to end an answer."""


@dataclass
class _State:
    depth: int
    """The number of brackets that the way opened and did not close."""
    in_string: bool
    way: list[int]
    matcher: LLMatcher
    news: int = 0
    """How often the way reached tokens that no way had reached: how far it is in a pattern."""

    @property
    def rank(self) -> tuple[int, bool, int, int]:
        return self.depth, self.in_string, -self.news, len(self.way)


@dataclass
class _Seen:
    """What a wide search has reached."""

    masks: set[bytes] = field(default_factory=set)
    """The sets of tokens allowed next."""
    states: set[tuple[int, int, int, bytes]] = field(default_factory=set)
    """The depth, the length, the news and the mask of each state."""


class Closing:
    """Finds ways to an end, for one model's tokens."""

    def __init__(self, tokens: Sequence[bytes], eos_ids: Collection[int]) -> None:
        """`tokens` are the bytes of each id, b"" for control tokens."""
        self._tokens = tokens
        self.eos_ids = sorted(eos_ids)
        self._many = len(tokens) // IN_STRING
        kinds: list[TokenKind] = [_kind(token) for token in tokens]
        self._ends = _ranked(tokens, kinds, "end", partial(_end_rank, in_string=False))
        quotes: list[TokenKind] = [
            "quote" if token.startswith(b'"') else kind
            for token, kind in zip(tokens, kinds, strict=True)
        ]
        self._quotes = _ranked(tokens, quotes, "quote", partial(_end_rank, in_string=True))
        self._least = _ranked(tokens, kinds, "least", len)
        self._fillers = _ranked(tokens, kinds, "filler", lambda token: -min(len(token), 8))
        self._letters = _ranked(tokens, kinds, "letter", len)
        self._signs = _ranked(tokens, kinds, "sign", len)

    def way(self, matcher: LLMatcher, most: int) -> list[int] | None:
        """The fewest known tokens that end the answer. None if there are more than `most`.

        The obvious way is tried first. Wide searches follow only if that is too long. `matcher`
        does not change.
        """
        if most < 0:
            return None
        for limit in (SHORT, MAX_WAY):
            for width, share in ((1, 1), (WIDTH, SAMPLE), (WIDTH, SHARE)):
                found = self._search(matcher, min(most, limit), width, share)
                if found is not None:
                    return found
            if most <= limit:
                break
        return None

    def ends(self, matcher: LLMatcher, way: Sequence[int]) -> bool:
        """Whether the answer can continue with `way` and end there."""
        return matcher.validate_tokens([*way, self.eos_ids[0]]) == len(way) + 1

    def is_text(self, matcher: LLMatcher) -> bool:
        """Whether almost every token is allowed: in free text, or inside a string."""
        return bool(np.count_nonzero(self._allowed(matcher)) > self._many)

    def quote(self, matcher: LLMatcher, way: Sequence[int]) -> int | None:
        """The token that closes the current string, if `matcher` is in one and it can be closed.

        `way` is the way from here. Inside a string it starts with a quote.
        """
        if not way or not self._tokens[way[0]].startswith(b'"'):
            return None
        if not self.is_text(matcher):
            return None
        allowed = self._allowed(matcher)
        plain = [i for i in self._quotes.tolist() if self._tokens[i] == b'"' and allowed[i]]
        return (plain or way)[0]

    def _search(self, matcher: LLMatcher, most: int, width: int, share: int) -> list[int] | None:
        """Breadth-first search that keeps the `width` best states at each length."""
        states = [_State(0, self.is_text(matcher), [], matcher.deep_copy())]
        seen = _Seen()
        steps = MAX_STEPS
        while states:
            following: list[_State] = []
            for state in states:
                if state.matcher.is_accepting():
                    return state.way
                for tokens in self._choices(state.matcher, width, share):
                    steps -= 1
                    after = self._after(state, tokens, most)
                    if after and (width == 1 or self._is_new(after, state, seen)):
                        following.append(after)
                if steps < 0:
                    return None
            # Forced tokens produce ways of different lengths.
            states = sorted(following, key=lambda state: state.rank)[:width]
        return None

    def _after(self, state: _State, tokens: list[int], most: int) -> _State | None:
        matcher = state.matcher.deep_copy()
        if len(state.way) + len(tokens) > most or not matcher.consume_tokens(tokens):
            return None
        text = b"".join(self._tokens[token] for token in tokens)
        opened, in_string = _scan(text, in_string=state.in_string)
        return _State(state.depth + opened, in_string, state.way + tokens, matcher)

    def _is_new(self, state: _State, before: _State, seen: _Seen) -> bool:
        """Whether no state that was `seen` is like this one.

        Equal tokens alone do not make states alike: letters follow both signs of an address.
        """
        mask = b"" if state.matcher.is_stopped() else state.matcher.compute_bitmask()
        state.news = before.news + (mask not in seen.masks)
        seen.masks.add(mask)
        alike = state.depth, len(state.way), state.news, mask
        if alike in seen.states:
            return False
        seen.states.add(alike)
        return True

    def _choices(self, matcher: LLMatcher, width: int, share: int) -> list[list[int]]:
        """The next tokens to try: the forced ones, or those that close most or need least."""
        if forced := matcher.compute_ff_tokens():
            return [forced]
        allowed = self._allowed(matcher)
        count = np.count_nonzero(allowed)
        kinds = (self._ends, self._least, self._fillers, self._letters, self._signs)
        if count > self._many:
            kinds = (self._quotes, self._fillers, self._least, self._letters, self._signs)
        if width > 1 and count <= FEW:
            found = np.flatnonzero(allowed).tolist()
        elif width > 1:
            shares = [*[share] * (len(kinds) - 1), SHARE]
            found = [
                i
                for ranked, most in zip(kinds, shares, strict=True)
                for i in ranked[allowed[ranked]][:most].tolist()
            ]
        else:
            found = next((r[allowed[r]][:1].tolist() for r in kinds if allowed[r].any()), [])
        return [[token] for token in found or np.flatnonzero(allowed)[:width].tolist()]

    def _allowed(self, matcher: LLMatcher) -> np.ndarray:
        bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        allowed = np.unpackbits(bits, bitorder="little", count=len(self._tokens)).view(bool)
        allowed[self.eos_ids] = False
        return allowed


def _kind(token: bytes) -> TokenKind:
    """How a token can help: it ends values, is a small value, or fills a string."""
    text = token.strip(b" ")
    if text and not text.strip(b'"}],'):
        return "end"
    if text in _LEAST:
        return "least"
    if len(token) == 1:
        if token.isalpha():
            return "letter"
        return "sign" if 0x20 <= token[0] < 0x7F and token != b"\\" else "other"
    return "filler" if token.isalnum() else "other"


def _ranked(
    tokens: Sequence[bytes], kinds: list[TokenKind], kind: TokenKind, rank: Callable[[bytes], Any]
) -> np.ndarray:
    """The ids of one kind, best first."""
    ids = [i for i, own in enumerate(kinds) if own == kind]
    return np.array(sorted(ids, key=lambda i: (rank(tokens[i]), i)), dtype=np.int64)


def _end_rank(token: bytes, *, in_string: bool) -> tuple[bool, int, int, int]:
    """The sort key: tokens that close most come first, those that open a value or string last."""
    depth, goes_on = _scan(token, in_string=in_string)
    return goes_on, depth, token.count(b","), -len(token)


def _scan(text: bytes, *, in_string: bool) -> tuple[int, bool]:
    """The number of opened minus closed brackets in JSON text, and whether it ends in a string."""
    depth = 0
    for sign in _SIGNS.findall(text):
        if sign == b'"':
            in_string = not in_string
        elif not in_string:
            depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(sign, 0)
    return depth, in_string
