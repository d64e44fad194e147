"""The work of one step as arrays: tokens, positions and their context."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
