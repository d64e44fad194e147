"""The heads of latent attention, in PyTorch."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from minikin.engine.model.architecture import Architecture
from minikin.engine.pytorch.weights import LatentTensors

Heads = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Queries, keys and values, each [T, heads, head_dim]."""


def latent_heads(a: Architecture, weights: LatentTensors, made: torch.Tensor) -> Heads:
    """The heads of T rows, from their products [T, ...] with the layer's first matrix.

    See `Latent`. Heads are in the order of `Architecture.rotary_order`: each half has a half of the
    rotated part, then one of the kept part. Values are padded with zeros.
    """
    form = a.latent
    assert form is not None
    queries, latent, rotated = made.split(
        [made.shape[1] - form.rank - form.rotated, form.rank, form.rotated], dim=1
    )
    if weights.queries is not None:
        queries = weights.queries(_norm(queries, weights.query_norm, a.norm_epsilon))
    latent = _norm(latent, weights.norm, a.norm_epsilon)
    rows = len(made)
    kept = weights.keys(latent).view(rows, a.heads, 2, -1)
    rotated = rotated.view(rows, 1, 2, -1).expand(-1, a.heads, -1, -1)
    keys = torch.cat([rotated.to(kept.dtype), kept], dim=-1).flatten(2)
    values = weights.values(latent).view(rows, a.heads, -1)
    padded = F.pad(values, (0, a.head_dim - form.value_dim))
    return queries.view(rows, a.heads, -1), keys, padded


def _norm(x: torch.Tensor, weight: torch.Tensor | None, epsilon: float) -> torch.Tensor:
    assert weight is not None
    return F.rms_norm(x.float(), weight.shape, weight, epsilon)
