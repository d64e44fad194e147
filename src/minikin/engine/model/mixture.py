"""A mixture of experts: each row passes through a few of several feed-forward networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from minikin.engine.model.matrix import Matrix


class Expert(NamedTuple):
    """One feed-forward network."""

    gate_up: Matrix
    """Hidden -> gate and up, in this order. Without gates, up alone."""
    down: Matrix


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """The experts of a layer, and the router that selects them (Shazeer et al. 2017)."""

    router: np.ndarray
    """[experts, hidden] float32: the scores of the experts are nearly equal at times.

    With `gated`, the gate of the shared experts is one more row."""
    router_norm: np.ndarray | None = None
    """[hidden]: of the norm of what the router reads. None: it reads what the experts do."""
    router_bias: np.ndarray | None = None
    """[experts] float32."""
    correction: np.ndarray | None = None
    """[experts] float32: added to the weights for the choice of experts only (DeepSeek-V3)."""
    expert_scales: np.ndarray | None = None
    """[experts] float32: a further factor for the weight of each expert."""
    experts: tuple[Expert, ...]
    """The last of them are shared."""
    used: int
    """The number of experts that a row chooses."""
    shared: int = 0
    """The number of experts of all rows. The router does not choose them."""
    gated: bool = False
    """The weight of the shared experts is the sigmoid of a row's product with their gate, not 1."""
    sigmoid: bool = False
    """A weight is the sigmoid of a score, instead of its part of a softmax."""
    scale: float = 1.0
    """The factor for the weights of the chosen experts."""
    groups: int = 1
    """Parts of the experts, of one size. A row chooses from the best of them only (DeepSeek-V3)."""
    used_groups: int = 1
    normalized: bool = True
    """Whether the weights of a row's experts add up to 1. If not, they are those among all."""
