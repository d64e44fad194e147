"""Guesses from the text itself: the tokens after an earlier occurrence of the same tokens."""

from __future__ import annotations

from collections.abc import Sequence as Run

PATTERN = 3
"""The number of tokens that must be equal."""
FIRST_WINDOW = 2
LARGEST_WINDOW = 7
LONGEST_REST = 64
"""Maximum steps without a guess, after many wrong ones."""


class Lookup:
    """Guesses the tokens after the previous occurrence of the latest tokens (Saxena 2023).

    An additional row costs a fifth of a step, so wrong guesses are expensive. After each wrong
    guess, the pause before the next guess doubles.
    """

    def __init__(self, tokens: Run[int]) -> None:
        self._tokens = tokens
        """The list of the sequence, which grows."""
        self._after: dict[tuple[int, ...], int] = {}
        """A pattern -> the position after its previous occurrence."""
        self._indexed = PATTERN
        self._window = FIRST_WINDOW
        self._pause = 1
        self._rest = 0

    def guess(self, most: int) -> tuple[int, ...]:
        """Up to `most` tokens that can follow."""
        if most < 1:
            return ()
        tokens = self._tokens
        for place in range(self._indexed, len(tokens)):
            self._after[tuple(tokens[place - PATTERN : place])] = place
        self._indexed = max(self._indexed, len(tokens))
        if self._rest:
            self._rest -= 1
            return ()
        place = self._after.get(tuple(tokens[-PATTERN:]))
        if place is None:
            return ()
        return tuple(tokens[place : place + min(self._window, most)])

    def judge(self, offered: int, accepted: int) -> None:
        """Record how many of the offered tokens were correct."""
        if not offered:
            return
        if accepted == offered:
            self._window = min(2 * self._window, LARGEST_WINDOW)
            self._pause = 1
        elif 2 * accepted < offered:
            self._window = FIRST_WINDOW
            self._rest = self._pause
            self._pause = min(2 * self._pause, LONGEST_REST)
