"""How to choose the token of a row of logits, and what is known of the row's tokens."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_NONE = np.empty(0, np.int64), np.empty(0, np.float32)


class Draw(NamedTuple):
    """How to choose one token, in the order of `struct draw`. Each limit holds alone.

    - top_p: the fewest most likely tokens with this total probability (Holtzman et al. 2020)
    - min_p: tokens with at least this share of the highest probability (Nguyen et al. 2024)
    - top_k: this number of most likely tokens (Fan et al. 2018); 0: all
    """

    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    min_p: float = 0.0
    top_k: int = 0
    point: float = 0.0
    """Where to read the inverse of the cumulative distribution, in [0, 1)."""
    changes: tuple[np.ndarray, np.ndarray] = _NONE
    """Tokens [N] int64, each once, and what is added to their logits first, [N] float32."""


class Ranks(NamedTuple):
    """Of each of R rows of logits."""

    totals: np.ndarray
    """[R] float64: the logarithm of the sum of exponentials."""
    places: np.ndarray
    """[R] int64: how many logits are larger than that of the row's token."""
    best: np.ndarray
    """[R, most] int64: the tokens with the largest logits, in descending order."""
