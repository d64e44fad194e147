"""Steps of answers as CUDA graphs: one launch for all kernels of a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from minikin.engine.cuda.choose import Kind, Limits
from minikin.engine.cuda.rows import Inputs, Rows
from minikin.engine.native.contract import PART
from minikin.engine.pytorch.upload import upload

SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Rows of a graph. A step is filled up to the next."""

Step = Callable[[Inputs, Limits[torch.Tensor] | None], torch.Tensor]
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

    A graph is for a number of rows, of parts of the longest context, and for a kind of choice if it
    also chooses the tokens. It reads its rows from memory that stays in place. None of the three
    changes a bit of a row.
    """

    run: Step
    capture: Capture
    spare: int
    """The block of rows that fill up a step. See `PagedCache`."""
    memory: torch.Tensor
    """int32: four numbers of each row, then the blocks of all sequences."""
    limits: torch.Tensor
    """[5 * rows] float64: the numbers of `Limits`."""
    _known: dict[tuple[int, int, Kind | None], Callable[[], torch.Tensor]]

    @classmethod
    def of(
        cls, run: Step, capture: Capture, spare: int, blocks: int, device: torch.device
    ) -> Graphs:
        """For steps whose sequences have up to `blocks` blocks together."""
        memory = torch.zeros(4 * SIZES[-1] + blocks, dtype=torch.int32, device=device)
        limits = torch.zeros(5 * SIZES[-1], dtype=torch.float64, device=device)
        return cls(run, capture, spare, memory, limits, {})

    def replay(
        self,
        rows: Rows,
        limits: Limits[np.ndarray] | None = None,
        tokens: torch.Tensor | None = None,
    ) -> torch.Tensor | None:
        """What `run` returns for these rows, or None if no graph is large enough.

        With `tokens` [R], these take the place of the rows' own. The next call overwrites the
        result.
        """
        count = len(rows.places)
        size = next((size for size in SIZES if size >= count), None)
        if size is None or 4 * size + len(rows.blocks) + 1 > len(self.memory):
            return None
        self._fill(rows.filled(size, self.spare), limits)
        if tokens is not None:
            self.memory[:count].copy_(tokens)
        parts = 1 << (-(-rows.longest // PART) - 1).bit_length()
        key = size, parts, limits and limits.kind
        if key not in self._known:
            inputs, own = self._inputs(size, parts), self._limits(size, limits)
            self._known[key] = self.capture(lambda: self.run(inputs, own))
        return self._known[key]()[:count]

    def _fill(self, rows: Rows, limits: Limits[np.ndarray] | None) -> None:
        numbers = np.concatenate([rows.numbers.ravel(), rows.blocks])
        choices = np.zeros(0) if limits is None else limits.filled(rows.numbers.shape[1]).ravel()
        sources = upload(self.memory.device, numbers, choices)
        for target, source in zip((self.memory, self.limits), sources, strict=True):
            target[: len(source)].copy_(source, non_blocking=True)

    def _limits(self, size: int, limits: Limits[np.ndarray] | None) -> Limits[torch.Tensor] | None:
        return limits and Limits(limits.kind, self.limits[: 5 * size].view(5, size))

    def _inputs(self, size: int, parts: int) -> Inputs:
        tokens, positions, slots, starts = self.memory[: 4 * size].view(4, size)
        tiles = self.memory[:0].view(0, 2)
        return Inputs(
            tokens, positions, slots, starts, self.memory[4 * size :], tiles, parts * PART
        )
