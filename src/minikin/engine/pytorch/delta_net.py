"""Gated delta nets, in PyTorch."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from minikin.engine.model.batch import Batch
from minikin.engine.model.recurrence import DeltaNet
from minikin.engine.pytorch.convolution import convolve
from minikin.engine.pytorch.memory import MemoryTensors, recall

EPSILON = 1e-6
"""Added to the squared length of queries and keys."""


def run_delta_net(
    form: DeltaNet,
    tensors: MemoryTensors,
    taps: torch.Tensor,
    inputs: torch.Tensor,
    rates: torch.Tensor,
    batch: Batch,
    states: torch.Tensor,
    epsilon: float,
) -> torch.Tensor:
    """[T, outputs] float32, from inputs [T, inputs] and rates [T, 2 * value heads].

    `states` [rooms, size] has the states before each stretch, and gets those after it.
    """
    channels, gates = inputs.split([form.channels, form.outputs], dim=1)
    first = form.convolution_size
    seen, memories = states[:, :first], states[:, first:]
    mixed = F.silu(convolve(channels, taps, batch, seen))
    keys = form.key_heads * form.key_dim
    query, key, value = mixed.split([keys, keys, form.outputs], dim=1)
    query, key = (_directions(part, form) for part in (query, key))
    fading, moving = rates.chunk(2, dim=1)
    kept = (tensors.fading * F.softplus(fading + tensors.offset)).exp()
    value = value.unflatten(1, (form.value_heads, form.value_dim))
    query = query * form.key_dim**-0.5
    moved = moving.sigmoid()
    found = recall(query, key, value, kept, moved, batch, memories, replaces=True)
    assert tensors.norm is not None
    normed = F.rms_norm(found, tensors.norm.shape, tensors.norm, epsilon)
    return normed.flatten(1) * F.silu(gates)


def _directions(x: torch.Tensor, form: DeltaNet) -> torch.Tensor:
    """[T, value heads, key_dim] of length 1, from those of the key heads."""
    heads = x.unflatten(1, (form.key_heads, form.key_dim))
    heads = heads * torch.rsqrt(heads.square().sum(-1, keepdim=True) + EPSILON)
    return heads[:, form.key_heads_of]
