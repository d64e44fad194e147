"""Draws one token per row, the last step of a forward pass, in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence as Run
from typing import Protocol

import torch


class Choose(Protocol):
    """`choose`, or a kernel that does the same."""

    def __call__(
        self, logits: torch.Tensor, temperatures: Run[float], points: Run[float], /
    ) -> torch.Tensor:
        """[R] tokens."""
        ...


def choose(logits: torch.Tensor, temperatures: Run[float], points: Run[float]) -> torch.Tensor:
    """A token [R] for each row of logits [R, vocabulary] float32, -1 where one is not a number.

    At temperature 0 it is the most likely token. Otherwise it is the inverse of the cumulative
    distribution at the row's point in [0, 1).
    """
    chosen = logits.argmax(dim=-1)
    usable = logits.gather(1, chosen[:, None]).isfinite().squeeze(1)
    rows = [i for i, temperature in enumerate(temperatures) if temperature]
    if rows:
        heat = torch.tensor([[temperatures[i]] for i in rows], device=logits.device)
        point = torch.tensor([points[i] for i in rows], dtype=torch.float64, device=logits.device)
        chosen[rows] = invert((logits[rows] / heat).softmax(dim=-1), point)
    return chosen.where(usable, -1)


def invert(weights: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
    """The first index of each row where the cumulative weight exceeds `point` of the total."""
    cumulative = weights.cumsum(dim=-1, dtype=torch.float64)
    goal = point[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, goal, right=True).squeeze(1)
