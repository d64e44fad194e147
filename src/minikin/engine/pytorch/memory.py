"""Heads that remember values by keys, in PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from minikin.engine.model.batch import NO_ROOM, Batch
from minikin.engine.model.recurrent_weights import MemoryWeights, RecurrentWeights
from minikin.engine.pytorch.linear import Linear
from minikin.engine.pytorch.tensors import optional, tensor


@dataclass(frozen=True, kw_only=True)
class MemoryTensors:
    """See `MemoryWeights`."""

    rates: Linear
    fading: torch.Tensor
    offset: torch.Tensor
    norm: torch.Tensor | None
    skip: torch.Tensor | None

    @classmethod
    def of(cls, same: MemoryWeights, dtype: torch.dtype, device: torch.device) -> MemoryTensors:
        """The same, with dense matrices of this type."""
        return cls(
            rates=Linear.of(same.rates, dtype, device),
            fading=tensor(same.fading, device),
            offset=tensor(same.offset, device),
            norm=optional(same.norm, device),
            skip=optional(same.skip, device),
        )


@dataclass(frozen=True, kw_only=True)
class RecurrentTensors:
    """See `RecurrentWeights`."""

    inputs: Linear
    convolution: torch.Tensor
    convolution_bias: torch.Tensor | None
    memory: MemoryTensors | None
    output: Linear

    @classmethod
    def of(
        cls, same: RecurrentWeights, dtype: torch.dtype, device: torch.device
    ) -> RecurrentTensors:
        """The same, with dense matrices of this type."""
        return cls(
            inputs=Linear.of(same.inputs, dtype, device),
            convolution=tensor(same.convolution, device),
            convolution_bias=optional(same.convolution_bias, device),
            memory=same.memory and MemoryTensors.of(same.memory, dtype, device),
            output=Linear.of(same.output, dtype, device),
        )


def recall(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    kept: torch.Tensor,
    moving: torch.Tensor,
    batch: Batch,
    memories: torch.Tensor,
    *,
    replaces: bool,
) -> torch.Tensor:
    """What the memories [rooms, heads * keys * values] have at each query: the shape of `value`.

    `replaces`: a token subtracts what a memory had at its key. `kept` and `moving` are [T, heads].
    """
    found = torch.empty_like(value)
    shape = value.shape[1], key.shape[2], value.shape[2]
    for start, stop, source, target in batch.stretches.tolist():
        memory = memories[source].view(shape).clone()
        for row in range(start, stop):
            at = key[row, :, :, None]
            memory *= kept[row, :, None, None]
            change = value[row] - (memory * at).sum(1) if replaces else value[row]
            memory += at * (change * moving[row, :, None])[:, None]
            found[row] = (memory * query[row, :, :, None]).sum(1)
        if target != NO_ROOM:
            memories[target] = memory.flatten()
    return found
