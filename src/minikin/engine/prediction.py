"""A text that the answer will probably follow, checked many tokens at a time."""

from __future__ import annotations

from collections.abc import Sequence as Run

FIRST_WINDOW = 16
LARGEST_WINDOW = 63
"""With the token before them, 64 rows: a step of the native kernels that costs about three."""
WINDOW_AFTER_MISS = 4


class Prediction:
    """Offers the next tokens of the predicted text, and finds its place again after a difference.

    What is offered changes only how many tokens a step brings, never which: each offered token is
    kept only if it is what would have been sampled there (Leviathan et al. 2023, with a text in
    place of a draft model).
    """

    def __init__(self, tokens: Run[int]) -> None:
        self._tokens = tuple(tokens)
        self._after: dict[tuple[int, int], int] = {}
        """Two tokens in a row -> the place after their first occurrence."""
        for place in range(len(self._tokens) - 2, -1, -1):
            self._after[self._tokens[place], self._tokens[place + 1]] = place + 2
        self._place: int | None = 0
        self._window = FIRST_WINDOW
        self.accepted = 0
        """Offered tokens that are in the answer. The caller counts: the answer may end early."""
        self.rejected = 0
        """Offered tokens that came out otherwise."""

    def guess(self, most: int) -> tuple[int, ...]:
        """Up to `most` tokens that may come next."""
        if self._place is None:
            return ()
        return self._tokens[self._place : self._place + min(self._window, max(most, 0))]

    def judge(self, offered: int, accepted: int, before: int, last: int) -> None:
        """Learn how many of the offered tokens came true.

        After them the answer has one more token, `last`, which follows the token `before`.
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
            # One token may have been replaced, and the text goes on after it.
            self._place = place + 1
