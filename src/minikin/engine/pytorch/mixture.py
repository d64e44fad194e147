"""A mixture of experts in PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from minikin.engine.model import mixture
from minikin.engine.pytorch.activation import Activation
from minikin.engine.pytorch.linear import Linear
from minikin.engine.pytorch.tensors import optional


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """See `minikin.engine.model.mixture.Mixture`."""

    router: Linear
    router_norm: torch.Tensor | None = None
    expert_scales: torch.Tensor | None = None
    experts: tuple[tuple[Linear, Linear], ...]
    """Gate and up, and down."""
    used: int
    shared: int = 0
    gated: bool = False
    normalized: bool = True
    sigmoid: bool = False
    scale: float = 1.0
    groups: int = 1
    used_groups: int = 1
    correction: torch.Tensor | None = None

    @classmethod
    def of(cls, same: mixture.Mixture, dtype: torch.dtype, device: torch.device) -> Mixture:
        """The same mixture, with dense experts of this type."""
        bias = None if same.router_bias is None else torch.from_numpy(same.router_bias).to(device)
        return cls(
            router=Linear(torch.from_numpy(same.router).to(device), bias),
            router_norm=optional(same.router_norm, device),
            expert_scales=optional(same.expert_scales, device),
            experts=tuple(
                (Linear.of(gate_up, dtype, device), Linear.of(down, dtype, device))
                for gate_up, down in same.experts
            ),
            used=same.used,
            shared=same.shared,
            gated=same.gated,
            normalized=same.normalized,
            sigmoid=same.sigmoid,
            scale=same.scale,
            groups=same.groups,
            used_groups=same.used_groups,
            correction=optional(same.correction, device),
        )

    def __call__(
        self, x: torch.Tensor, activation: Activation, routed: torch.Tensor | None = None
    ) -> torch.Tensor:
        """x [rows, hidden] -> [rows, hidden] float32.

        The router reads `routed`, if it is not x. Experts are added in a fixed order, so that the
        sum of a row does not depend on other rows. Experts that no row selects are not read.
        """
        scores, gate = apart(self.router(x if routed is None else routed), gated=self.gated)
        shares, chosen = best_experts(self, scores)
        if self.expert_scales is not None:
            shares = shares * self.expert_scales[chosen]
        out = torch.zeros(x.shape, device=x.device)
        for i in chosen.unique().tolist():
            gate_up, down = self.experts[i]
            rows, places = (chosen == i).nonzero(as_tuple=True)
            added = down(activation(gate_up(x[rows]))).float()
            out.index_add_(0, rows, added * shares[rows, places, None])
        for gate_up, down in self.experts[len(self.experts) - self.shared :]:
            out += down(activation(gate_up(x))).float() * gate
        return out


class Choice(Protocol):
    """How a row chooses its experts. See `minikin.engine.model.mixture.Mixture`."""

    @property
    def used(self) -> int: ...  # noqa: D102
    @property
    def normalized(self) -> bool: ...  # noqa: D102
    @property
    def sigmoid(self) -> bool: ...  # noqa: D102
    @property
    def scale(self) -> float: ...  # noqa: D102
    @property
    def groups(self) -> int: ...  # noqa: D102
    @property
    def used_groups(self) -> int: ...  # noqa: D102
    @property
    def correction(self) -> torch.Tensor | None: ...  # noqa: D102


def apart(scores: torch.Tensor, *, gated: bool) -> tuple[torch.Tensor, torch.Tensor | float]:
    """The scores [rows, experts] by a router, and the weight of the shared experts."""
    return (scores[:, :-1], scores[:, -1:].sigmoid()) if gated else (scores, 1.0)


def best_experts(choice: Choice, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The weights and indices [rows, used] of the best experts, from scores [rows, experts].

    A softmax over the best experts equals their part of the softmax over all, normalized to 1. Some
    families define it in this way.
    """
    if choice.sigmoid or choice.correction is not None:
        return _corrected(choice, scores.sigmoid() if choice.sigmoid else scores.softmax(-1))
    best, chosen = scores.topk(choice.used)
    if choice.normalized:
        return best.softmax(-1), chosen
    return scores.softmax(-1).gather(-1, chosen), chosen


def _corrected(choice: Choice, shares: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same from the weights of all experts, with a correction for the choice alone."""
    ranks = shares if choice.correction is None else shares + choice.correction
    if choice.groups > 1:
        ranks = _of_best_groups(choice, ranks)
    chosen = ranks.topk(choice.used).indices
    best = shares.gather(-1, chosen)
    if choice.normalized:
        best = best / best.sum(-1, keepdim=True)
    return best * choice.scale, chosen


def _of_best_groups(choice: Choice, ranks: torch.Tensor) -> torch.Tensor:
    """The ranks of experts in the best groups. A group counts as its two best experts."""
    groups = ranks.view(len(ranks), choice.groups, -1)
    best = groups.topk(2).values.sum(-1).topk(choice.used_groups).indices
    others = torch.ones_like(groups[..., 0], dtype=torch.bool).scatter(1, best, value=False)
    return groups.masked_fill(others[..., None], -torch.inf).flatten(1)
