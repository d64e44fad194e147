"""Mamba 2, in PyTorch."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from minikin.engine.model.batch import Batch
from minikin.engine.model.recurrence import Mamba
from minikin.engine.pytorch.convolution import convolve
from minikin.engine.pytorch.memory import MemoryTensors, recall


def run_mamba(
    form: Mamba,
    tensors: MemoryTensors,
    taps: torch.Tensor,
    bias: torch.Tensor | None,
    inputs: torch.Tensor,
    rates: torch.Tensor,
    batch: Batch,
    states: torch.Tensor,
    epsilon: float,
) -> torch.Tensor:
    """[T, outputs] float32 from inputs [T, ...] and rates [T, value heads] float32.

    `taps` and `bias` are those of the convolution, `states` [rooms, size] those of the layer.
    """
    channels, gates = inputs.split([form.channels, form.outputs], dim=1)
    convolutions, memories = states.tensor_split([form.convolution_size], dim=1)
    mixed = convolve(channels, taps, batch, convolutions)
    mixed = F.silu(mixed if bias is None else mixed + bias)
    keys = form.key_heads * form.key_dim
    query, key, value = mixed.split([keys, keys, form.outputs], dim=1)
    query, key = (_of_value_heads(part, form) for part in (query, key))
    value = value.unflatten(1, (form.value_heads, form.value_dim))
    sizes = F.softplus(rates + tensors.offset)
    kept = (tensors.fading * sizes).exp()
    found = recall(query, key, value, kept, sizes, batch, memories, replaces=False)
    assert tensors.skip is not None
    found += value * tensors.skip[:, None]
    gated = found.flatten(1) * F.silu(gates)
    if tensors.norm is None:
        return gated
    gated = gated.unflatten(1, (form.key_heads, -1))
    return F.rms_norm(gated, gated.shape[2:], eps=epsilon).flatten(1) * tensors.norm


def _of_value_heads(x: torch.Tensor, form: Mamba) -> torch.Tensor:
    """[T, value heads, key_dim] from those of the key heads."""
    return x.unflatten(1, (form.key_heads, form.key_dim))[:, form.key_heads_of]
