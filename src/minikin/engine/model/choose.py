"""Chooses one token per row, the last step of a forward pass, in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence as Run
from typing import Protocol

import numpy as np
import torch

from minikin.engine.native.draw import Draw, Ranks


class Chooser(Protocol):
    """What follows the logits [R, vocabulary] float32 of R rows."""

    def choose(self, logits: torch.Tensor, draws: Run[Draw], /) -> torch.Tensor:
        """A token [R] for each row, -1 where a logit is not a number.

        The changes of the draws stay in the logits. At temperature 0 it is the most likely token.
        Otherwise it is the inverse of the cumulative distribution of the tokens within the limits,
        at the draw's point.
        """
        ...

    def rank(self, logits: torch.Tensor, tokens: Run[int], most: int, /) -> Ranks:
        """What log probabilities of `tokens`, one per row, and of the `most` best ones need."""
        ...


class TorchChooser:
    """A `Chooser` on any device. `Kernels` is a faster one."""

    def choose(self, logits: torch.Tensor, draws: Run[Draw]) -> torch.Tensor:
        """See `Chooser`."""
        for row, draw in zip(logits, draws, strict=True):
            tokens, amounts = (torch.from_numpy(part).to(row.device) for part in draw.changes)
            row.index_add_(0, tokens, amounts)
        chosen = logits.argmax(dim=-1)
        usable = logits.gather(1, chosen[:, None]).isfinite().squeeze(1)
        rows = [i for i, draw in enumerate(draws) if draw.temperature]
        if rows:
            own = [draws[i] for i in rows]
            weights = _weights(logits[rows], own)
            point = torch.tensor([d.point for d in own], dtype=torch.float64, device=logits.device)
            chosen[rows] = _invert(weights, point)
        return chosen.where(usable, -1)

    def rank(self, logits: torch.Tensor, tokens: Run[int], most: int) -> Ranks:
        """See `Chooser`."""
        own = logits.gather(1, torch.tensor(tokens, device=logits.device)[:, None])
        best = logits.topk(min(most, logits.shape[1]), dim=-1).indices
        return Ranks(_log_sums(logits), (logits > own).sum(dim=-1), best)


def _weights(logits: torch.Tensor, draws: Run[Draw]) -> torch.Tensor:
    """The probabilities [R, vocabulary] at each draw's temperature, 0 outside of its limits."""
    heat, top_p, min_p, top_k = (
        torch.tensor(column, device=logits.device)[:, None]
        for column in zip(*((d.temperature, d.top_p, d.min_p, d.top_k) for d in draws), strict=True)
    )
    probabilities = (logits / heat).softmax(dim=-1)
    if all(d.top_p == 1 and not d.min_p and not d.top_k for d in draws):
        return probabilities
    ordered, ids = probabilities.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1) - ordered
    rank = torch.arange(ordered.shape[1], device=logits.device)
    dropped = ((before >= top_p.clamp(min=1e-9)) & (top_p < 1)) | ((rank >= top_k) & (top_k > 0))
    dropped |= ordered < min_p * ordered[:, :1]
    return torch.zeros_like(ordered).scatter(1, ids, ordered.masked_fill(dropped, 0.0))


def _invert(weights: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
    """The first index of each row where the cumulative weight exceeds `point` of the total."""
    cumulative = weights.cumsum(dim=-1, dtype=torch.float64)
    goal = point[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, goal, right=True).squeeze(1)


def _log_sums(logits: torch.Tensor) -> torch.Tensor:
    """The logarithm of the sum of exponentials [R] of each row [R, vocabulary].

    Row by row in NumPy. PyTorch divides a sum among threads according to the number of rows, so the
    last bit of a row would depend on the other rows.
    """
    sums = []
    for row in logits.float().cpu().numpy():
        most = row.max()
        sums.append(most + np.log(np.exp(row - most).sum(dtype=np.float64)))
    return torch.tensor(sums, dtype=torch.float64)
