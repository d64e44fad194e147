"""Turns the scheduler's spans into the tensors of one step."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

import torch

from minikin.engine.model.batch import Batch
from minikin.engine.model.block import BLOCK
from minikin.engine.scheduler import Span


def make_batch(spans: list[Span], *, device: torch.device, every_row: bool = False) -> Batch:
    """Lay out spans, in the scheduler's order.

    The step computes logits after each sequence's last token and its guesses, or after every token
    (`every_row`).
    """
    tokens: list[int] = []
    positions: list[int] = []
    slots: list[int] = []
    blocks: list[int] = []
    starts: list[int] = []
    bounds: list[tuple[int, int]] = []
    sampled: list[int] = []
    few = few_sampled = 0
    for span in spans:
        own, end = span.sequence.blocks, span.start + span.length
        places = range(span.start, end + len(span.guesses))
        bounds.append((len(tokens), len(tokens) + span.rows))
        tokens += span.sequence.tokens[span.start : end]
        if span.samples:
            sampled += range(len(tokens) - 1, len(tokens) + len(span.guesses))
        tokens += span.guesses
        positions += places
        slots += [own[p // BLOCK] * BLOCK + p % BLOCK for p in places]
        starts += [len(blocks)] * span.rows
        blocks += own
        if span.role == "exact":
            few = len(tokens)
        if span.role != "other":
            few_sampled = len(tokens) if every_row else len(sampled)

    def tensor(values: Iterable[int], dtype: torch.dtype = torch.int64) -> torch.Tensor:
        return torch.tensor(values, dtype=dtype, device=device)

    return Batch(
        tokens=tensor(tokens),
        positions=tensor(positions),
        slots=tensor(slots),
        blocks=tensor(blocks, torch.int32),
        block_starts=tensor(starts),
        singles=len(list(takewhile(lambda span: span.rows == 1, spans))),
        spans=tuple(bounds),
        few=few,
        few_sampled=few_sampled,
        sampled_rows=tensor(range(len(tokens)) if every_row else sampled),
    )
