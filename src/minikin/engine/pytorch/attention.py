"""Attention of a batch's rows over the KV cache, in PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from minikin.engine.model.batch import Batch
from minikin.engine.model.block import BLOCK
from minikin.engine.pytorch.kv_cache import TorchKVCache


@dataclass(frozen=True)
class AttentionForm:
    """The parameters of one layer's attention."""

    scale: float
    """The factor for each product of a query and a key."""
    window: int | None = None
    """A token sees this many tokens, including itself. None: all."""
    softcap: float | None = None
    """Scores are limited to (-softcap, softcap) with tanh (Gemma 2)."""
    sinks: torch.Tensor | None = None
    """[heads] float32: the score of one additional position without a value (gpt-oss)."""

    @property
    def plain(self) -> bool:
        """Whether PyTorch's own kernels support it."""
        return self.softcap is None and self.sinks is None


@dataclass(frozen=True, slots=True)
class Rows:
    """The batch's rows `start:stop` of one span."""

    start: int
    stop: int
    position: int
    """The start of the span in the sequence."""
    end: int
    """The number of tokens of the sequence up to the end of the span."""
    blocks: torch.Tensor
    """The cache blocks of these tokens, int64."""


def rows_of(batch: Batch, device: torch.device) -> list[Rows]:
    """The spans, with the blocks of their sequences."""
    result: list[Rows] = []
    for start, stop in batch.spans:
        position, end = int(batch.positions[start]), int(batch.positions[stop - 1]) + 1
        first = int(batch.block_starts[start])
        blocks = batch.blocks[first : first - (-end // BLOCK)].astype(np.int64)
        result.append(Rows(start, stop, position, end, torch.from_numpy(blocks).to(device)))
    return result


class Seen:
    """The context of each row: single tokens in one padded table, longer spans one by one."""

    def __init__(self, batch: Batch, dtype: torch.dtype, device: torch.device) -> None:
        rows = rows_of(batch, device)
        self.singles = batch.singles
        self.chunks: list[Rows] = rows[self.singles :]
        single = [row.blocks for row in rows[: self.singles]]
        self.context = torch.nn.utils.rnn.pad_sequence(single, batch_first=True) if single else None
        """[singles, most blocks]."""
        ends = batch.positions[: self.singles, None] + 1
        self._ends = torch.from_numpy(ends).to(device)
        self._dtype = dtype
        self._masks: dict[int | None, torch.Tensor] = {}

    def mask(self, window: int | None) -> torch.Tensor:
        """[singles, 1, 1, positions]: added to the scores of `context`."""
        assert self.context is not None
        if window not in self._masks:
            places = torch.arange(self.context.shape[1] * BLOCK, device=self._ends.device)
            inside = places < self._ends
            if window is not None:
                inside &= places >= self._ends - window
            zeros = torch.zeros(inside.shape, dtype=self._dtype, device=inside.device)
            self._masks[window] = zeros.masked_fill(~inside, -torch.inf)[:, None, None]
        return self._masks[window]


def attend(
    q: torch.Tensor, cache: TorchKVCache, layer: int, seen: Seen, form: AttentionForm
) -> torch.Tensor:
    """[T, heads, head_dim] from queries of the same shape, over the part of `cache` for `layer`."""
    out = torch.empty_like(q)
    if seen.context is not None:
        rows = slice(seen.singles)
        keys, values = cache.read(layer, seen.context)
        out[rows] = _attend_singles(q[rows], keys, values, seen.mask(form.window), form)
    for chunk in seen.chunks:
        rows = slice(chunk.start, chunk.stop)
        keys, values = (part[:, : chunk.end] for part in cache.read(layer, chunk.blocks))
        out[rows] = _attend_chunk(q[rows], keys, values, chunk.position, form)
    return out


def _attend_singles(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor, form: AttentionForm
) -> torch.Tensor:
    """[B, heads, head_dim] queries of B sequences, one each, against [B, kv_heads, T, head_dim]."""
    # Queries with a common key head become the query rows of this head.
    grouped = q.view(len(q), k.shape[1], -1, q.shape[2])
    if form.plain:
        out = F.scaled_dot_product_attention(grouped, k, v, attn_mask=mask, scale=form.scale)
    else:
        sinks = None if form.sinks is None else form.sinks.view(k.shape[1], -1, 1)
        out = _attend_scored(grouped, k, v, mask, form, sinks)
    return out.reshape(q.shape)


def _attend_chunk(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, position: int, form: AttentionForm
) -> torch.Tensor:
    """[L, heads, head_dim] queries from `position` on, against [kv_heads, T, head_dim]."""
    q = q.transpose(0, 1)
    causal = not position and (form.window is None or form.window >= k.shape[1])
    mask = None
    if not causal or not form.plain:
        mask = torch.ones(q.shape[1], k.shape[1], dtype=torch.bool, device=q.device).tril(position)
        if form.window is not None:
            mask = mask.triu(position - form.window + 1)
    if form.plain:
        out = F.scaled_dot_product_attention(
            q[None], k[None], v[None],
            attn_mask=mask, is_causal=mask is None, scale=form.scale, enable_gqa=True,
        )[0]  # fmt: skip
    else:
        assert mask is not None
        added = torch.zeros(mask.shape, device=q.device).masked_fill(~mask, -torch.inf)
        sinks = None if form.sinks is None else form.sinks.view(len(k), -1, 1, 1)
        # One key head at a time, because the scores of all heads need much memory.
        out = torch.cat([
            _attend_scored(some, k[i], v[i], added, form, None if sinks is None else sinks[i])
            for i, some in enumerate(q.chunk(len(k)))
        ])  # fmt: skip
    return out.transpose(0, 1)


def _attend_scored(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor,
    form: AttentionForm,
    sinks: torch.Tensor | None,
) -> torch.Tensor:
    """[..., L, head_dim] from q of the same shape, and k and v [..., T, head_dim].

    `sinks` are those of q's rows, [..., L or 1, 1].
    """
    scores = (q @ k.mT).float() * form.scale
    if form.softcap is not None:
        scores = form.softcap * torch.tanh(scores / form.softcap)
    scores += mask
    weights = scores.softmax(-1)
    if sinks is not None:
        # One additional position with score s divides each weight by 1 + exp(s - logsumexp).
        weights *= torch.sigmoid(scores.logsumexp(-1, keepdim=True) - sinks)
    return weights.to(v.dtype) @ v
