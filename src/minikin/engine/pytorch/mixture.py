"""A mixture of experts in PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from minikin.engine.model import mixture
from minikin.engine.pytorch.activation import Activation
from minikin.engine.pytorch.linear import Linear


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """See `minikin.engine.model.mixture.Mixture`."""

    router: Linear
    experts: tuple[tuple[Linear, Linear], ...]
    """Gate and up, and down."""
    used: int
    normalized: bool = True

    @classmethod
    def of(cls, same: mixture.Mixture, dtype: torch.dtype, device: torch.device) -> Mixture:
        """The same mixture, with dense experts of this type."""
        bias = None if same.router_bias is None else torch.from_numpy(same.router_bias).to(device)
        return cls(
            router=Linear(torch.from_numpy(same.router).to(device), bias),
            experts=tuple(
                (Linear.of(gate_up, dtype, device), Linear.of(down, dtype, device))
                for gate_up, down in same.experts
            ),
            used=same.used,
            normalized=same.normalized,
        )

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
