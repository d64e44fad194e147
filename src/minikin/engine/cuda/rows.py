"""The rows of a step that the same kernels compute: those of answers, or those of prompts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from minikin.engine.model.batch import Batch
from minikin.engine.model.block import BLOCK
from minikin.engine.pytorch.upload import upload

TILE = 64
"""The most rows of one span of a prompt that look at keys together."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """R rows on the device. All numbers are int32, as kernels read them."""

    tokens: torch.Tensor
    """[R]."""
    positions: torch.Tensor
    """[R]: each token's position in its sequence."""
    slots: torch.Tensor
    """[R]: the cache slot of its key and value."""
    starts: torch.Tensor
    """[R]: the start of its sequence in `blocks`."""
    blocks: torch.Tensor
    """The cache blocks of all sequences."""
    tiles: torch.Tensor
    """[tiles, 2]: first row, and number of rows of one span. Empty for answers."""
    longest: int
    """At least the number of keys that any row sees."""

    @property
    def prompts(self) -> bool:
        """Whether the rows are those of prompts."""
        return len(self.tiles) > 0


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a batch, on the host."""

    places: np.ndarray
    """[R] int64: where they are in the batch."""
    numbers: np.ndarray
    """[4, R] int32: tokens, positions, slots, starts."""
    blocks: np.ndarray
    tiles: np.ndarray
    """[tiles, 2] int32."""

    @property
    def longest(self) -> int:
        """See `Inputs`."""
        return int(self.numbers[1].max()) + 1

    def filled(self, rows: int, spare: int) -> Rows:
        """The same with more rows, up to `rows`, whose only key is in the block `spare`."""
        missing = rows - self.numbers.shape[1]
        one = [0, 0, spare * BLOCK, len(self.blocks)]
        more = np.repeat(np.array(one, np.int32)[:, None], missing, axis=1)
        numbers = np.concatenate([self.numbers, more], axis=1)
        blocks = np.append(self.blocks, np.int32(spare))
        return Rows(self.places, numbers, blocks, self.tiles)

    def inputs(self, device: torch.device) -> Inputs:
        """On the device."""
        numbers, blocks, tiles = upload(device, self.numbers, self.blocks, self.tiles)
        tokens, positions, slots, starts = numbers
        return Inputs(tokens, positions, slots, starts, blocks, tiles, self.longest)


def split(batch: Batch) -> tuple[Rows | None, Rows | None]:
    """The rows of answers, and those of prompts. None where there are none.

    Short ends of prompts count as answers, if the scheduler made them exact.
    """
    rows = np.arange(len(batch.tokens))
    prompt = (rows >= batch.few) & (rows < batch.others)
    spans = [span for span in batch.spans if batch.few <= span[0] < batch.others]
    answers = _rows(batch, rows[~prompt], []) if len(spans) < len(batch.spans) else None
    return answers, _rows(batch, rows[prompt], spans) if spans else None


def _rows(batch: Batch, places: np.ndarray, spans: list[tuple[int, int]]) -> Rows:
    columns = batch.tokens, batch.positions, batch.slots, batch.block_starts
    numbers = np.stack([column[places] for column in columns]).astype(np.int32)
    tiles = [tile for span in spans for tile in _tiles(*span, int(places[0]))]
    return Rows(places, numbers, batch.blocks, np.array(tiles, np.int32).reshape(-1, 2))


def _tiles(start: int, stop: int, first: int) -> Iterator[tuple[int, int]]:
    """Pieces of the span's rows, counted from the row `first` of the batch."""
    for at in range(start, stop, TILE):
        yield at - first, min(TILE, stop - at)
