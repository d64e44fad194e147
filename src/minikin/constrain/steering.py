"""Keeps an answer with a fixed format on a way to a valid end.

A model that repeats itself or writes too much would leave an incomplete JSON value. Therefore, near
the limit, a token is accepted only if the answer can still end after it. A string that only repeats
itself is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llguidance import LLMatcher

from minikin.constrain.closing import Closing

NEAR = 256
"""Below this number of remaining tokens, each token is checked. One token rarely makes the
way longer by more."""
SHARE = 3
"""For a long way, tokens are checked below this multiple of its length."""
CYCLES = 4
"""A string is closed if its tokens repeat this often,"""
CYCLE_TOKENS = 40
"""over this many tokens,"""
PATIENCE = 0.75
"""After a search that finds no way to an end, the next one waits until the room is this share of
what it was. A search without result takes up to half a second, and other answers wait for it."""
LONGEST_CYCLE = 32
"""in a cycle of at most this length."""


class Steering:
    """The way to the end of one answer, updated with its tokens."""

    def __init__(self, closing: Closing, is_distinct: Callable[[Sequence[int]], bool]) -> None:
        """`is_distinct`: whether tokens, from here on, give no object a name twice."""
        self._closing = closing
        self._is_distinct = is_distinct
        self._way: list[int] | None = None
        """Tokens from here to an end, if known."""
        self._next: tuple[int, list[int]] | None = None
        """A token that was allowed, and the way after it."""
        self._taken: list[int] = []
        self._search_below: float = float("inf")
        """The room from which the next search is due."""

    def choose(self, matcher: LLMatcher, token: int, room: int) -> int:
        """`token`, or the token that replaces it.

        `matcher` is before the token. `room` is the number of remaining tokens, including `token`
        and the end token.
        """
        if token in self._closing.eos_ids:
            return token
        if is_cycle(self._taken, token):
            self._taken.clear()  # a cycle that continues is found again
            way = self._closing.way(matcher, room)
            quote = self._closing.quote(matcher, way) if way else None
            token = token if quote is None else quote
        if room > max(NEAR, SHARE * len(self._way or ())):
            return token
        if self._way is None and room > self._search_below:
            return token
        return self._within(matcher, token, room)

    def take(self, tokens: list[int]) -> None:
        """Record the next tokens of the answer."""
        self._taken = [*self._taken, *tokens][-(CYCLES + 1) * LONGEST_CYCLE :]
        way = None
        if self._next and self._next[0] == tokens[0]:
            after, forced = self._next[1], tokens[1:]
            way = after[len(forced) :] if after[: len(forced)] == forced else None
        self._way, self._next = way, None

    def _within(self, matcher: LLMatcher, token: int, room: int) -> int:
        """`token` if an end fits in `room` after it, otherwise the first token of the way."""
        after = self._way_after(matcher, token, room - 2)
        if after is None or not self._is_distinct([token, *after]):
            way = self._way or self._closing.way(matcher, room - 1)
            self._search_below = room * PATIENCE if way is None else float("inf")
            if way is None or (not way and self._closing.is_text(matcher)):
                return token  # no value ever fitted, or free text can end anywhere
            if not self._is_distinct(way):
                return token  # a name continues until it is a new one
            if not way:
                return self._closing.eos_ids[0]
            token, after = way[0], way[1:]
        self._next = token, after
        return token

    def _way_after(self, matcher: LLMatcher, token: int, most: int) -> list[int] | None:
        """At most `most` tokens that end the answer after `token`, or None."""
        way = self._way
        if way and way[0] == token:
            return way[1:] if len(way) <= most + 1 else None
        following = matcher.deep_copy()
        if not following.consume_token(token):
            return None
        if way and len(way) <= most and self._closing.ends(following, way):
            return way
        return self._closing.way(following, most)


def is_cycle(tokens: list[int], token: int) -> bool:
    """Whether `tokens` followed by `token` end in a repeated cycle."""
    for length in range(1, min(LONGEST_CYCLE, len(tokens)) + 1):
        if tokens[-length] != token:
            continue
        span = max(CYCLES * length, CYCLE_TOKENS) - 1
        if len(tokens) >= span + length and tokens[-span:] == tokens[-span - length : -length]:
            return True
    return False
