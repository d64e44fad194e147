"""Chooses one token per row, the last step of a forward pass, in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence as Run

import numpy as np
import torch

from minikin.engine.native.draw import Draw, Ranks


class TorchChooser:
    """A `minikin.engine.model.decoder.Chooser` on any device."""

    @torch.no_grad()
    def choose(self, logits: torch.Tensor, draws: Run[Draw]) -> np.ndarray:
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
        return chosen.where(usable, -1).cpu().numpy()

    def rank(self, logits: torch.Tensor, tokens: Run[int], most: int) -> Ranks:
        """See `Chooser`."""
        own = logits.gather(1, torch.tensor(tokens, device=logits.device)[:, None])
        best = logits.topk(min(most, logits.shape[1]), dim=-1).indices
        places = (logits > own).sum(dim=-1)
        return Ranks(_log_sums(logits), places.cpu().numpy(), best.cpu().numpy())

    def at(self, logits: torch.Tensor, tokens: np.ndarray) -> np.ndarray:
        """See `Chooser`."""
        return logits.gather(1, torch.from_numpy(tokens).to(logits.device)).cpu().numpy()

    def forbid(self, row: torch.Tensor, forbidden: np.ndarray) -> None:
        """See `Chooser`."""
        row[: len(forbidden)].masked_fill_(torch.from_numpy(forbidden).to(row.device), -torch.inf)

    def penalise(self, row: torch.Tensor, tokens: np.ndarray, penalty: float) -> None:
        """See `Chooser`."""
        seen = torch.from_numpy(tokens).to(row.device)
        own = row[seen]
        row[seen] = torch.where(own > 0, own / penalty, own * penalty)

    def join(self, parts: Run[torch.Tensor]) -> torch.Tensor:
        """See `Chooser`."""
        return torch.cat([*parts])


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


def _log_sums(logits: torch.Tensor) -> np.ndarray:
    """The logarithm of the sum of exponentials [R] of each row [R, vocabulary].

    Row by row in NumPy. PyTorch divides a sum among threads according to the number of rows, so the
    last bit of a row would depend on the other rows.
    """
    sums: list[float] = []
    for row in logits.float().cpu().numpy():
        most = row.max()
        sums.append(most + np.log(np.exp(row - most).sum(dtype=np.float64)))
    return np.array(sums, np.float64)
