"""Keeps an answer of a given form on a way to a valid end.

A model that repeats itself, or says more than there is room for, would leave half a JSON value. So
near the limit each token is taken only if the answer can still end after it, and a string that
only repeats itself is closed.
"""

from __future__ import annotations

from llguidance import LLMatcher

from minikin.constrain.closing import Closing

NEAR = 256
"""Tokens left from which on each is checked; a single token seldom makes the way longer by more."""
SHARE = 3
"""Where the way to an end is long, from so many times its length on."""
CYCLES = 4
"""A string is closed once its tokens have repeated so often,"""
CYCLE_TOKENS = 40
"""and over so many tokens,"""
LONGEST_CYCLE = 32
"""in a cycle of at most so many."""


class Steering:
    """The way that one answer can take to its end, kept up with its tokens."""

    def __init__(self, closing: Closing) -> None:
        self._closing = closing
        self._way: list[int] | None = None
        """Tokens from here to an end, where known."""
        self._next: tuple[int, list[int]] | None = None
        """A token that was allowed, and the way after it."""
        self._taken: list[int] = []

    def choose(self, matcher: LLMatcher, token: int, room: int) -> int:
        """`token`, or the one that is to be taken in its place.

        `matcher` stands before it. There is `room` for so many tokens, `token` and the end mark
        included.
        """
        if token in self._closing.eos_ids:
            return token
        if is_cycle(self._taken, token):
            way = self._closing.way(matcher, room)
            quote = self._closing.quote(matcher, way) if way else None
            if quote is not None:
                self._taken.clear()
                token = quote
        if room > max(NEAR, SHARE * len(self._way or ())):
            return token
        return self._within(matcher, token, room)

    def take(self, tokens: list[int]) -> None:
        """Take in what the answer goes on with."""
        self._taken = [*self._taken, *tokens][-(CYCLES + 1) * LONGEST_CYCLE :]
        way = None
        if self._next and self._next[0] == tokens[0]:
            after, forced = self._next[1], tokens[1:]
            way = after[len(forced) :] if after[: len(forced)] == forced else None
        self._way, self._next = way, None

    def _within(self, matcher: LLMatcher, token: int, room: int) -> int:
        """`token` if an end fits in `room` after it, else the first of the way to an end."""
        after = self._way_after(matcher, token, room - 2)
        if after is None:
            way = self._way or self._closing.way(matcher, room - 1)
            if way is None or (not way and self._closing.is_text(matcher)):
                return token  # there never was room for any value, or words may end anywhere
            if not way:
                return self._closing.eos_ids[0]
            token, after = way[0], way[1:]
        self._next = token, after
        return token

    def _way_after(self, matcher: LLMatcher, token: int, most: int) -> list[int] | None:
        """At most `most` tokens that end the answer after `token`; None if there are none."""
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
    """Whether `tokens`, with `token` after them, end in a cycle, several times over."""
    for length in range(1, min(LONGEST_CYCLE, len(tokens)) + 1):
        if tokens[-length] != token:
            continue
        span = max(CYCLES * length, CYCLE_TOKENS) - 1
        if len(tokens) >= span + length and tokens[-span:] == tokens[-span - length : -length]:
            return True
    return False
