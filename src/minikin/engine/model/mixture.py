"""A mixture of experts: feed-forwards of which each row passes through a few."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from minikin.engine.model.activation import Activation
from minikin.engine.model.linear import Linear


class Expert(NamedTuple):
    """One feed-forward."""

    gate_up: Linear
    """Hidden -> gate and up, in this order."""
    down: Linear


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """The experts of a layer, and the router that chooses among them (Shazeer et al. 2017)."""

    router: Linear
    """Hidden -> a score for each expert, in float32: near ties decide which expert is asked."""
    experts: tuple[Expert, ...]
    used: int
    """Experts that a row passes through."""
    normalized: bool = True
    """The shares of a row's experts add up to 1; else they are those among all experts."""

    def __call__(self, x: torch.Tensor, activation: Activation) -> torch.Tensor:
        """x [rows, hidden] -> [rows, hidden] float32.

        Experts come in their own order, so that a row's sum doesn't depend on the other rows;
        those that no row has chosen are not touched.
        """
        shares, chosen = self.choose(self.router(x))
        out = torch.zeros(x.shape, device=x.device)
        for i in chosen.unique().tolist():
            gate_up, down = self.experts[i]
            rows, places = (chosen == i).nonzero(as_tuple=True)
            added = down(activation(gate_up(x[rows]))).float()
            out.index_add_(0, rows, added * shares[rows, places, None])
        return out

    def choose(self, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of scores [rows, experts] float32, the shares and the numbers [rows, used] of the best.

        A softmax over the best is the same as their part of the softmax over all, made to add up
        to 1, which is how some families put it.
        """
        best, chosen = scores.topk(self.used)
        if self.normalized:
            return best.softmax(-1), chosen
        return scores.softmax(-1).gather(-1, chosen), chosen
