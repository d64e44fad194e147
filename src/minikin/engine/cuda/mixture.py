"""A mixture of experts on a GPU, without a number that the host reads."""

from __future__ import annotations

import torch

from minikin.engine.cuda.crowds import Crowds
from minikin.engine.cuda.operations import Operations
from minikin.engine.cuda.weights import DeviceMixture
from minikin.engine.pytorch.mixture import apart, best_experts
from minikin.model_file.family import ActivationName

ANSWER_TILE, PROMPT_TILE = 16, 64
"""Pairs of one expert that a kernel multiplies together. A row's bits depend on the size."""


def mix(
    mixture: DeviceMixture,
    x: torch.Tensor,
    operations: Operations,
    activation: ActivationName,
    *,
    prompts: bool,
) -> torch.Tensor:
    """x [R, hidden] -> [R, hidden] float32. `prompts`: the rows are those of prompts.

    A row adds its experts in the order of their weights, in any company.
    """
    many = {"prompts": prompts}
    scores = operations.product(x.float(), mixture.router, **many)
    scores, gate = apart(scores, gated=mixture.gated)
    shares, chosen = best_experts(mixture, scores)
    size = PROMPT_TILE if prompts else ANSWER_TILE
    crowds = Crowds.of(chosen, scores.shape[1], size)
    inside = operations.activate(operations.product(x, mixture.gate_up, crowds, **many), activation)
    outside = operations.product(inside, mixture.down, crowds.alike, **many)
    each = outside.view(*chosen.shape, -1).unbind(1)
    out = each[0] * shares[:, :1]
    for number, expert in enumerate(each[1:], 1):
        out = torch.addcmul(out, expert, shares[:, number, None])
    for gate_up, down in mixture.shared:
        inner = operations.activate(operations.product(x, gate_up, **many), activation)
        out = out + operations.product(inner, down, **many) * gate
    return out
