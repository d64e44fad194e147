"""A predicted text of the answer, checked many tokens at a time."""

from __future__ import annotations

from collections.abc import Sequence as Run

from minikin.engine.messages import PredictionState

FIRST_WINDOW = 16
LARGEST_WINDOW = 63
"""With the token before them, 64 rows. Such a step of the native kernels costs about three."""
WINDOW_AFTER_MISS = 4


class Prediction:
    """Offers the next tokens of the predicted text, and finds its position after a difference.

    Offered tokens change only how many tokens a step produces, never which ones. Each is kept only
    if sampling gives the same token there (Leviathan et al. 2023, with a text instead of a draft
    model).
    """

    def __init__(self, tokens: Run[int]) -> None:
        self._tokens = tuple(tokens)
        self._after: dict[tuple[int, int], int] = {}
        """Two adjacent tokens -> the position after their first occurrence."""
        for place in range(len(self._tokens) - 2, -1, -1):
            self._after[self._tokens[place], self._tokens[place + 1]] = place + 2
        self._place: int | None = 0
        self._window = FIRST_WINDOW
        self.accepted = 0
        """Accepted tokens in the answer. The caller counts them: the answer can end early."""
        self.rejected = 0
        """Offered tokens that were wrong."""

    @property
    def state(self) -> PredictionState:
        """What another engine needs to continue."""
        return PredictionState(self._place, self._window, self.accepted, self.rejected)

    @state.setter
    def state(self, state: PredictionState) -> None:
        self._place, self._window = state.place, state.window
        self.accepted, self.rejected = state.accepted, state.rejected

    def guess(self, most: int) -> tuple[int, ...]:
        """Up to `most` tokens that can follow."""
        if self._place is None:
            return ()
        return self._tokens[self._place : self._place + min(self._window, max(most, 0))]

    def judge(self, offered: int, accepted: int, before: int, last: int) -> None:
        """Record how many of the offered tokens were correct.

        The answer then has one more token, `last`, after the token `before`.
        """
        self.rejected += offered - accepted
        if offered:
            grown = min(2 * self._window, LARGEST_WINDOW)
            self._window = grown if accepted == offered else WINDOW_AFTER_MISS
        place = self._place
        if place is not None:
            place += accepted
            if self._tokens[place : place + 1] == (last,):
                self._place = place + 1
                return
        self._place = self._after.get((before, last))
        if self._place is None and place is not None and accepted:
            # Possibly one token was replaced, and the text continues after it.
            self._place = place + 1
