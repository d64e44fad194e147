"""Chooses one token per row, the last step of a forward pass, in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence as Run
from typing import TypeGuard

import numpy as np
import torch

from minikin.engine.model.decoder import Seen
from minikin.engine.native.draw import Draw, Ranks
from minikin.engine.pytorch.upload import upload


class TorchChooser:
    """A `minikin.engine.model.decoder.Chooser` on any device."""

    def choose(self, logits: torch.Tensor, draws: Run[Draw]) -> np.ndarray:
        """See `Chooser`."""
        return self.chosen(logits, draws).cpu().numpy()

    @torch.no_grad()
    def chosen(self, logits: torch.Tensor, draws: Run[Draw]) -> torch.Tensor:
        """The tokens that `choose` returns, on the device. Nothing is read back."""
        self.change(logits, draws)
        chosen = logits.argmax(dim=-1)
        usable = logits.gather(1, chosen[:, None]).isfinite().squeeze(1)
        rows = [i for i, draw in enumerate(draws) if draw.temperature]
        if rows:
            own = [draws[i] for i in rows]
            point = np.array([draw.point for draw in own], np.float64)
            places, points = upload(logits.device, np.array(rows, np.int64), point)
            drawn = _invert(_weights(logits.index_select(0, places), own), points)
            chosen = chosen.index_copy(0, places, drawn)
        return chosen.where(usable, -1)

    def change(self, logits: torch.Tensor, draws: Run[Draw]) -> None:
        """Add the changes of the draws, in place."""
        changes = [(row, *draw.changes) for row, draw in enumerate(draws) if len(draw.changes[0])]
        if changes:
            rows, tokens, amounts = upload(logits.device, *_joined(changes))
            logits.index_put_((rows, tokens), amounts, accumulate=True)

    def rank(self, logits: torch.Tensor, tokens: Run[int], most: int) -> Ranks:
        """See `Chooser`."""
        own = logits.gather(1, torch.tensor(tokens, device=logits.device)[:, None])
        best = logits.topk(min(most, logits.shape[1]), dim=-1).indices
        places = (logits > own).sum(dim=-1)
        return Ranks(_log_sums(logits), places.cpu().numpy(), best.cpu().numpy())

    def at(self, logits: torch.Tensor, tokens: np.ndarray) -> np.ndarray:
        """See `Chooser`."""
        return logits.gather(1, torch.from_numpy(tokens).to(logits.device)).cpu().numpy()

    def restrict(self, logits: torch.Tensor, allowed: Run[np.ndarray | None]) -> None:
        """See `Chooser`."""
        rows = [row for row, mask in enumerate(allowed) if mask is not None]
        if rows:
            usable = np.zeros((len(rows), logits.shape[1]), np.bool_)
            for own, mask in zip(usable, filter(_is_given, allowed), strict=True):
                own[: len(mask)] = mask
            places, masks = upload(logits.device, np.array(rows, np.int64), usable)
            kept = logits.index_select(0, places).masked_fill(~masks, -torch.inf)
            logits.index_copy_(0, places, kept)

    def penalise(self, logits: torch.Tensor, seen: Run[Seen]) -> None:
        """See `Chooser`."""
        if seen:
            each = [(row, tokens, np.full(len(tokens), by, np.float32)) for row, tokens, by in seen]
            rows, tokens, penalties = upload(logits.device, *_joined(each))
            own = logits[rows, tokens]
            logits[rows, tokens] = torch.where(own > 0, own / penalties, own * penalties)

    def join(self, parts: Run[torch.Tensor]) -> torch.Tensor:
        """See `Chooser`."""
        return torch.cat([*parts])


def _is_given(mask: np.ndarray | None) -> TypeGuard[np.ndarray]:
    return mask is not None


def _joined(each: Run[tuple[int, np.ndarray, np.ndarray]]) -> tuple[np.ndarray, ...]:
    """Row, token and number of all that some rows have: [N] int64, [N] int64, [N] float32."""
    rows, tokens, numbers = zip(*each, strict=True)
    return np.repeat(rows, [*map(len, tokens)]), np.concatenate(tokens), np.concatenate(numbers)


def _weights(logits: torch.Tensor, draws: Run[Draw]) -> torch.Tensor:
    """The probabilities [R, vocabulary] at each draw's temperature, 0 outside of its limits."""
    limits = np.array([(d.temperature, d.top_p, d.min_p, d.top_k) for d in draws], np.float32)
    heat, top_p, min_p, top_k = upload(logits.device, limits)[0].T[..., None]
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
