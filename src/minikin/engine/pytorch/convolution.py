"""Convolutions over a channel's last tokens, in PyTorch."""

from __future__ import annotations

import torch

from minikin.engine.model.batch import NO_ROOM, Batch


def convolve(
    x: torch.Tensor, taps: torch.Tensor, batch: Batch, states: torch.Tensor
) -> torch.Tensor:
    """[T, channels] float32: the sum of each channel's last values in x [T, channels].

    `taps` [count, channels] are their factors. `states` [rooms, (count - 1) * channels] has the
    values before each stretch, and gets those at its end.
    """
    count, channels = taps.shape
    out = torch.empty_like(x)
    for start, stop, source, target in batch.stretches.tolist():
        seen = torch.cat([states[source].view(-1, channels), x[start:stop]])
        length = stop - start
        out[start:stop] = sum(seen[k : k + length] * taps[k] for k in range(count))
        if target != NO_ROOM:
            states[target] = seen[length:].flatten()
    return out
