"""A mixture of experts: each row passes through a few of several feed-forward networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from minikin.engine.model.activation import Activation
from minikin.engine.model.linear import Linear


class Expert(NamedTuple):
    """One feed-forward network."""

    gate_up: Linear
    """Hidden -> gate and up, in this order."""
    down: Linear


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """The experts of a layer, and the router that selects them (Shazeer et al. 2017)."""

    router: Linear
    """Hidden -> a score for each expert, in float32, because scores can be nearly equal."""
    experts: tuple[Expert, ...]
    used: int
    """The number of experts per row."""
    normalized: bool = True
    """Whether the weights of a row's experts add up to 1. If not, they are those among all."""

    def __call__(self, x: torch.Tensor, activation: Activation) -> torch.Tensor:
        """x [rows, hidden] -> [rows, hidden] float32.

        Experts are added in a fixed order, so that the sum of a row does not depend on other rows.
        Experts that no row selects are not read.
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
        """The weights and indices [rows, used] of the best experts, from scores [rows, experts].

        A softmax over the best experts equals their part of the softmax over all, normalized to 1.
        Some families define it in this way.
        """
        best, chosen = scores.topk(self.used)
        if self.normalized:
            return best.softmax(-1), chosen
        return scores.softmax(-1).gather(-1, chosen), chosen
