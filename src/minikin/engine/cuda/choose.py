"""Chooses tokens on a GPU, also inside a graph."""

from __future__ import annotations

from collections.abc import Sequence as Run
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

import numpy as np
import torch

from minikin.engine.native.draw import Draw
from minikin.engine.pytorch.choose import TorchChooser
from minikin.engine.pytorch.upload import upload

UNIT = 2.0**44
"""The weight of the likeliest token. Sums of whole numbers do not depend on their order, so a draw
does not depend on other rows. The sum over 2^18 tokens fits 63 bits."""

Numbers = TypeVar("Numbers", np.ndarray, torch.Tensor)


class Kind(IntEnum):
    """What the rows of a step need. Each kind also does what those before it do."""

    GREEDY = 0
    FREE = 1
    """Some rows draw from all tokens."""
    LIMITED = 2
    """Some rows draw from the likeliest tokens, so that all are sorted."""


@dataclass(frozen=True, slots=True)
class Limits(Generic[Numbers]):
    """How to choose the tokens of R rows, on the host or on a device."""

    kind: Kind
    numbers: Numbers
    """[5, R] float64: temperature, top_p, min_p, top_k and point of each row's `Draw`."""

    @staticmethod
    def of(draws: Run[Draw]) -> Limits[np.ndarray]:
        """The limits of the draws, without their changes."""
        rows = [(d.temperature, d.top_p, d.min_p, d.top_k, d.point) for d in draws]
        numbers = np.ascontiguousarray(np.array(rows, np.float64).reshape(-1, 5).T)
        heat, top_p, min_p, top_k, _ = numbers
        limited = (heat > 0) & ((top_p < 1) | (min_p > 0) | (top_k > 0))
        kind = Kind.LIMITED if limited.any() else Kind.FREE if heat.any() else Kind.GREEDY
        return Limits(kind, numbers)

    def on(self: Limits[np.ndarray], device: torch.device) -> Limits[torch.Tensor]:
        """The same on a device."""
        (numbers,) = upload(device, self.numbers)
        return Limits(self.kind, numbers)

    def filled(self: Limits[np.ndarray], rows: int) -> np.ndarray:
        """The numbers [5, `rows`] of more rows, which are greedy."""
        return np.pad(self.numbers, ((0, 0), (0, rows - self.numbers.shape[1])))


class CudaChooser(TorchChooser):
    """A `Chooser` whose steps choose the same tokens, waited for or not."""

    @torch.no_grad()
    def chosen(self, logits: torch.Tensor, draws: Run[Draw]) -> torch.Tensor:
        """See `TorchChooser`."""
        self.change(logits, draws)
        return pick(logits, Limits.of(draws).on(logits.device))


def pick(logits: torch.Tensor, limits: Limits[torch.Tensor]) -> torch.Tensor:
    """The token [R] int64 of each row of `logits` [R, vocabulary] float32, as of `Chooser.choose`.

    It launches kernels, and waits for none. A row's token does not depend on other rows.
    """
    best = logits.argmax(dim=-1, keepdim=True)
    top = logits.gather(1, best)
    chosen = best
    if limits.kind != Kind.GREEDY:
        heat, top_p, min_p, top_k, point = limits.numbers[..., None]
        shares = ((logits - top) / heat.float().clamp(min=1e-5)).exp()
        if limits.kind == Kind.LIMITED:
            shares = _limited(shares, top_p, min_p, top_k)
        sums = (shares * UNIT).long().cumsum(dim=-1)
        total = sums[:, -1:]
        goal = torch.minimum((point * total).long(), total - 1)
        drawn = torch.searchsorted(sums, goal, right=True)
        chosen = drawn.where(heat > 0, best)
    return chosen.where(top.isfinite(), -1).squeeze(1)


def _limited(
    shares: torch.Tensor, top_p: torch.Tensor, min_p: torch.Tensor, top_k: torch.Tensor
) -> torch.Tensor:
    """The shares [R, vocabulary] of the likeliest token's weight, 0 outside of the limits."""
    ordered, ids = shares.sort(dim=-1, descending=True, stable=True)
    sums = (ordered * UNIT).long().cumsum(dim=-1)
    before = sums - (ordered * UNIT).long()
    rank = torch.arange(ordered.shape[1], device=shares.device)
    dropped = (before >= top_p.clamp(min=1e-9) * sums[:, -1:]) & (top_p < 1)
    dropped |= ((rank >= top_k) & (top_k > 0)) | (ordered < min_p.float())
    return torch.zeros_like(ordered).scatter(1, ids, ordered.masked_fill(dropped, 0.0))
