"""Gated delta nets, in PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from minikin.engine.model.batch import NO_ROOM, Batch
from minikin.engine.model.recurrence import DeltaNet
from minikin.engine.model.weights import DeltaWeights
from minikin.engine.pytorch.convolution import convolve
from minikin.engine.pytorch.linear import Linear

EPSILON = 1e-6
"""Added to the squared length of queries and keys."""


@dataclass(frozen=True, kw_only=True)
class DeltaTensors:
    """See `DeltaWeights`."""

    rates: Linear
    fading: torch.Tensor
    offset: torch.Tensor
    norm: torch.Tensor

    @classmethod
    def of(cls, same: DeltaWeights, dtype: torch.dtype, device: torch.device) -> DeltaTensors:
        """The same, with dense matrices of this type."""
        return cls(
            rates=Linear.of(same.rates, dtype, device),
            fading=torch.from_numpy(same.fading).to(device),
            offset=torch.from_numpy(same.offset).to(device),
            norm=torch.from_numpy(same.norm).to(device),
        )


def run_delta_net(
    form: DeltaNet,
    tensors: DeltaTensors,
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
    found = _recall(query * form.key_dim**-0.5, key, value, kept, moving.sigmoid(), batch, memories)
    normed = F.rms_norm(found, tensors.norm.shape, tensors.norm, epsilon)
    return normed.flatten(1) * F.silu(gates)


def _directions(x: torch.Tensor, form: DeltaNet) -> torch.Tensor:
    """[T, value heads, key_dim] of length 1, from those of the key heads."""
    heads = x.unflatten(1, (form.key_heads, form.key_dim))
    heads = heads * torch.rsqrt(heads.square().sum(-1, keepdim=True) + EPSILON)
    return heads[:, form.key_heads_of]


def _recall(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    kept: torch.Tensor,
    moving: torch.Tensor,
    batch: Batch,
    memories: torch.Tensor,
) -> torch.Tensor:
    """What the memories [rooms, heads * keys * values] have at each query: the shape of `value`."""
    found = torch.empty_like(value)
    shape = value.shape[1], key.shape[2], value.shape[2]
    for start, stop, source, target in batch.stretches.tolist():
        memory = memories[source].view(shape).clone()
        for row in range(start, stop):
            at = key[row, :, :, None]
            memory *= kept[row, :, None, None]
            change = (value[row] - (memory * at).sum(1)) * moving[row, :, None]
            memory += at * change[:, None]
            found[row] = (memory * query[row, :, :, None]).sum(1)
        if target != NO_ROOM:
            memories[target] = memory.flatten()
    return found
