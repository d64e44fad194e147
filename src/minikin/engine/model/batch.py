"""One step's work as tensors: which tokens, where they stand, what they may look at."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from minikin.engine.model.block import BLOCK


@dataclass(frozen=True, slots=True)
class Rows:
    """The batch's rows `start:stop`, one span's."""

    start: int
    stop: int
    position: int
    """Where in the sequence the span begins."""
    end: int
    """How many tokens the sequence has up to the span's end."""
    blocks: torch.Tensor
    """The cache blocks that hold them, int64."""


@dataclass(frozen=True, slots=True)
class Batch:
    """T tokens of some spans: exact ones first, then prompts, then other answers."""

    tokens: torch.Tensor
    """[T] int64."""
    positions: torch.Tensor
    """[T] int64: each token's place in its sequence."""
    slots: torch.Tensor
    """[T] int64: where its key and value go."""
    blocks: torch.Tensor
    """int32: the cache blocks of each span's sequence, one span after the other."""
    block_starts: torch.Tensor
    """[T] int64: where in `blocks` each token's sequence begins."""
    singles: int
    """How many spans have a single token, before the first that has several."""
    spans: tuple[tuple[int, int], ...]
    """The first and the last row + 1 of each span."""
    few: int
    """The first so many rows are exact: those of answers that must repeat, or of few answers.

    Native kernels compute them by integers, all others by tiles, whatever stands beside them.
    """
    few_sampled: int
    """The same for the rows whose logits are wanted."""
    sampled_rows: torch.Tensor
    """[R] int64: the rows whose logits are wanted."""

    def rows(self) -> list[Rows]:
        """The spans, with the blocks that each one's sequence has."""
        result = []
        for start, stop in self.spans:
            position, end = int(self.positions[start]), int(self.positions[stop - 1]) + 1
            first = int(self.block_starts[start])
            blocks = self.blocks[first : first - (-end // BLOCK)].long()
            result.append(Rows(start, stop, position, end, blocks))
        return result
