"""The work of one step as tensors: tokens, positions and their context."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from minikin.engine.model.block import BLOCK


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


@dataclass(frozen=True, slots=True)
class Batch:
    """T tokens of several spans: exact ones first, then prompts, then other answers."""

    tokens: torch.Tensor
    """[T] int64."""
    positions: torch.Tensor
    """[T] int64: each token's position in its sequence."""
    slots: torch.Tensor
    """[T] int64: the cache slot of its key and value."""
    blocks: torch.Tensor
    """int32: the cache blocks of each span's sequence, one span after the other."""
    block_starts: torch.Tensor
    """[T] int64: the start of each token's sequence in `blocks`."""
    singles: int
    """The number of spans with a single token before the first with several."""
    spans: tuple[tuple[int, int], ...]
    """The first and the last row + 1 of each span."""
    few: int
    """The number of exact rows at the start: those of repeatable answers, or of few answers.

    Native kernels compute them with integers, and all others with tiles, beside any other rows.
    """
    few_sampled: int
    """The same for the rows with logits."""
    sampled_rows: torch.Tensor
    """[R] int64: the rows with logits."""

    def rows(self) -> list[Rows]:
        """The spans, with the blocks of their sequences."""
        result = []
        for start, stop in self.spans:
            position, end = int(self.positions[start]), int(self.positions[stop - 1]) + 1
            first = int(self.block_starts[start])
            blocks = self.blocks[first : first - (-end // BLOCK)].long()
            result.append(Rows(start, stop, position, end, blocks))
        return result
