"""The work of one step as arrays: tokens, positions and their context."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NO_ROOM = -1
"""In place of a room, for a state that is not stored."""


@dataclass(frozen=True, slots=True)
class Batch:
    """T tokens of several spans: exact ones first, then prompts, then other answers."""

    tokens: np.ndarray
    """[T] int64."""
    positions: np.ndarray
    """[T] int64: each token's position in its sequence."""
    slots: np.ndarray
    """[T] int64: the cache slot of its key and value."""
    blocks: np.ndarray
    """int32: the cache blocks of each span's sequence, one span after the other."""
    block_starts: np.ndarray
    """[T] int64: the start of each token's sequence in `blocks`."""
    singles: int
    """The number of spans with a single token before the first with several."""
    spans: tuple[tuple[int, int], ...]
    """The first and the last row + 1 of each span."""
    stretches: np.ndarray
    """[N, 4] int64: for rows that a state goes through, the first, the last + 1, the room of the
    state before them and the room for the state after them, or NO_ROOM."""
    chains: np.ndarray
    """[spans + 1] int64: the first of each span's stretches, and N. Without a state, N is 0."""
    few: int
    """The number of exact rows at the start: those of repeatable answers, or of few answers.

    Native kernels compute them with integers, and all others with tiles, beside any other rows.
    """
    others: int
    """The first row after all prompts: that of other answers."""
    few_sampled: int
    """The same for the rows with logits."""
    sampled_rows: np.ndarray
    """[R] int64: the rows with logits."""
