"""Passes of answers as CUDA graphs: one launch for all kernels of a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from minikin.engine.cuda.rows import Inputs, Rows
from minikin.engine.native.contract import PART
from minikin.engine.pytorch.upload import upload

SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Rows of a graph. A step is filled up to the next."""

Pass = Callable[[Inputs], torch.Tensor]
Capture = Callable[[Callable[[], torch.Tensor]], Callable[[], torch.Tensor]]
"""Records what a function launches. The result launches it again, and returns the same tensor."""


class CudaCapture:
    """See `Capture`. All graphs share their memory, because one runs at a time."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, step: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        """Run `step` once, so that its kernels are compiled, and record it."""
        step()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            out = step()

        def replay() -> torch.Tensor:
            graph.replay()
            return out

        return replay


@dataclass(slots=True)
class Graphs:
    """The graphs of one decoder and one cache, recorded when a step first needs them.

    A graph is for a number of rows and of parts of the longest context. It reads its rows from
    memory that stays in place. Neither number changes a bit of a row.
    """

    run: Pass
    capture: Capture
    spare: int
    """The block of rows that fill up a step. See `PagedCache`."""
    memory: torch.Tensor
    """int32: four numbers of each row, then the blocks of all sequences."""
    _known: dict[tuple[int, int], Callable[[], torch.Tensor]]

    @classmethod
    def of(
        cls, run: Pass, capture: Capture, spare: int, blocks: int, device: torch.device
    ) -> Graphs:
        """For steps whose sequences have up to `blocks` blocks together."""
        memory = torch.zeros(4 * SIZES[-1] + blocks, dtype=torch.int32, device=device)
        return cls(run, capture, spare, memory, {})

    def replay(self, rows: Rows) -> torch.Tensor | None:
        """The output of the last layer, or None if no graph is large enough.

        The next call overwrites it.
        """
        count = len(rows.places)
        size = next((size for size in SIZES if size >= count), None)
        if size is None or 4 * size + len(rows.blocks) + 1 > len(self.memory):
            return None
        filled = rows.filled(size, self.spare)
        (numbers,) = upload(
            self.memory.device, np.concatenate([filled.numbers.ravel(), filled.blocks])
        )
        self.memory[: len(numbers)].copy_(numbers, non_blocking=True)
        parts = 1 << (-(-filled.longest // PART) - 1).bit_length()
        if (size, parts) not in self._known:
            inputs = self._inputs(size, parts)
            self._known[size, parts] = self.capture(lambda: self.run(inputs))
        return self._known[size, parts]()[:count]

    def _inputs(self, size: int, parts: int) -> Inputs:
        tokens, positions, slots, starts = self.memory[: 4 * size].view(4, size)
        tiles = self.memory[:0].view(0, 2)
        return Inputs(
            tokens, positions, slots, starts, self.memory[4 * size :], tiles, parts * PART
        )
