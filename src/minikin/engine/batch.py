"""One step's work as tensors: which tokens, where they stand, what they may look at."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from minikin.engine.block_pool import BLOCK
from minikin.engine.scheduler import Span


@dataclass(frozen=True, slots=True)
class Chunk:
    """A span of several tokens: rows `start:stop` of the batch, seeing `slots` of the cache."""

    start: int
    stop: int
    position: int
    """Where in the sequence the span begins."""
    slots: torch.Tensor
    """Cache slots of all the sequence's tokens up to the span's end, int64."""


@dataclass(frozen=True, slots=True)
class Batch:
    """T tokens of S spans: single ones first (the first `singles` rows), then `chunks`."""

    tokens: torch.Tensor
    """[T] int64."""
    positions: torch.Tensor
    """[T] int64: each token's place in its sequence."""
    slots: torch.Tensor
    """[T] int64: where its key and value go."""
    singles: int
    context: torch.Tensor
    """[singles, longest] int64: the cache slots each single token sees, padded with 0."""
    mask: torch.Tensor
    """[singles, 1, 1, longest] float: 0 for a slot that is seen, -inf for padding."""
    chunks: tuple[Chunk, ...]
    sampled_rows: torch.Tensor
    """[R] int64: the rows whose logits are wanted."""


def make_batch(
    spans: list[Span], *, dtype: torch.dtype, device: torch.device, every_row: bool = False
) -> Batch:
    """Lay out spans, single tokens first, as the scheduler gives them.

    Logits are wanted after each sequence's last token, or (`every_row`) after every token.
    """
    tokens: list[int] = []
    positions: list[int] = []
    rows: list[int] = []
    for span in spans:
        tokens += span.sequence.tokens[span.start : span.start + span.length]
        positions += range(span.start, span.start + span.length)
        if span.samples:
            rows.append(len(tokens) - 1)
    seen = [_slots(span) for span in spans]
    singles = sum(span.length == 1 for span in spans)
    context, mask = _pad(seen[:singles], dtype)
    chunks = []
    row = singles
    for span, slots in zip(spans[singles:], seen[singles:], strict=True):
        chunks.append(Chunk(row, row + span.length, span.start, slots.to(device)))
        row += span.length
    own = [slots[span.start :] for span, slots in zip(spans, seen, strict=True)]
    return Batch(
        tokens=torch.tensor(tokens, device=device),
        positions=torch.tensor(positions, device=device),
        slots=torch.cat(own).to(device),
        singles=singles,
        context=context.to(device),
        mask=mask.to(device),
        chunks=tuple(chunks),
        sampled_rows=torch.tensor(range(len(tokens)) if every_row else rows, device=device),
    )


def _slots(span: Span) -> torch.Tensor:
    blocks = torch.tensor(span.sequence.blocks)
    slots = (blocks[:, None] * BLOCK + torch.arange(BLOCK)).flatten()
    return slots[: span.start + span.length]


def _pad(seen: list[torch.Tensor], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max((len(slots) for slots in seen), default=0)
    context = torch.zeros(len(seen), longest, dtype=torch.int64)
    mask = torch.full((len(seen), 1, 1, longest), -torch.inf, dtype=dtype)
    for i, slots in enumerate(seen):
        context[i, : len(slots)] = slots
        mask[i, ..., : len(slots)] = 0
    return context, mask
