"""Divides a step where PyTorch computes, so that a repeatable answer depends on itself alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Sequence as Run
from dataclasses import replace

from minikin.engine.model.block import BLOCK
from minikin.engine.model.decoder import Logits
from minikin.engine.span import Span
from minikin.engine.state_rooms import Stretch

Forward = Callable[[list[Span]], Logits]
"""Computes spans. Returns the logits of the rows to sample from."""


def forward_apart(
    spans: list[Span], forward: Forward, join: Callable[[list[Logits]], Logits]
) -> Logits:
    """The logits of `spans`, with passes of their own for the repeatable ones.

    A sum inside PyTorch's products depends on the number of rows. So a pass for an answer has one
    row, and a pass for a prompt has the rows of one block of the cache, in any company.
    """
    passes = [[part] for span in spans if span.sequence.repeatable for part in _parts(span)]
    passes.append([span for span in spans if not span.sequence.repeatable])
    found: dict[int, Logits] = {}
    logits: Logits = None
    for together in filter(None, passes):
        logits, row = forward(together), 0
        for span in together:
            if span.samples:
                found[id(span.sequence)] = logits[row : row + 1 + len(span.guesses)]
                row += 1 + len(span.guesses)
    sampled = [found[id(span.sequence)] for span in spans if span.samples]
    return join(sampled) if sampled else logits


def _parts(span: Span) -> Iterator[Span]:
    length = BLOCK if span.role == "prompt" else 1
    end = span.start + span.length
    for start in range(span.start, end, length):
        stop = min(start + length, end)
        stretches = tuple(_cut(span.stretches, start, stop))
        yield replace(span, start=start, length=stop - start, stretches=stretches)


def _cut(stretches: Run[Stretch], start: int, stop: int) -> Iterator[Stretch]:
    """The parts of `stretches` in `start:stop`. All but the first part of one change its target."""
    for one in stretches:
        first, last = max(one.start, start), min(one.stop, stop)
        if first < last:
            source = one.source if first == one.start else one.target
            yield Stretch(first, last, source, one.target)
