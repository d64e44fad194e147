"""Turns the scheduler's spans into the arrays of one step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

import numpy as np

from minikin.engine.model.batch import NO_ROOM, Batch
from minikin.engine.model.block import BLOCK
from minikin.engine.span import Span


def make_batch(spans: list[Span], *, every_row: bool = False) -> Batch:
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
    stretches: list[tuple[int, int, int, int]] = []
    chains: list[int] = [0]
    few = others = few_sampled = 0
    for span in spans:
        own, end = span.sequence.blocks, span.end
        places = range(span.start, end + len(span.guesses))
        bounds.append((len(tokens), len(tokens) + span.rows))
        stretches += _stretches(span, len(tokens) - span.start)
        chains.append(len(stretches))
        tokens += span.tokens
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
            others = len(tokens)
            few_sampled = len(tokens) if every_row else len(sampled)

    return Batch(
        tokens=np.array(tokens, np.int64),
        positions=np.array(positions, np.int64),
        slots=np.array(slots, np.int64),
        blocks=np.array(blocks, np.int32),
        block_starts=np.array(starts, np.int64),
        singles=len(list(takewhile(lambda span: span.rows == 1, spans))),
        spans=tuple(bounds),
        stretches=np.array(stretches, np.int64).reshape(-1, 4),
        chains=np.array(chains, np.int64),
        few=few,
        others=others,
        few_sampled=few_sampled,
        sampled_rows=np.array(range(len(tokens)) if every_row else sampled, np.int64),
    )


def _stretches(span: Span, ahead: int) -> Iterator[tuple[int, int, int, int]]:
    """The rows and rooms of a span that is `ahead` rows from its positions. Guesses leave none."""
    for start, stop, source, target in span.stretches:
        yield start + ahead, stop + ahead, source, target
    if span.guesses and span.stretches:
        end = span.end + ahead
        yield end, end + len(span.guesses), span.stretches[-1].target, NO_ROOM
