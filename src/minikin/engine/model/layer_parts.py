"""Which parts each layer of a model has: attention, a recurrence, a feed-forward."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minikin.model_file.family import Family
from minikin.model_file.fields import Fields

MOST_WIDTH = 2**20
"""The maximum for a file. The largest published models have a tenth of it."""
_FEED_FORWARD = "feed_forward_length"


class LayerParts(NamedTuple):
    """For each layer, whether it has this part."""

    attends: tuple[bool, ...]
    recurs: tuple[bool, ...]
    feeds: tuple[bool, ...]


def layer_parts(fields: Fields, family: Family, kv_heads: list[int]) -> LayerParts:
    """The parts of layers with so many key heads. Raises ModelFileError."""
    attends = tuple(heads > 0 for heads in kv_heads)
    if not family.one_part:
        recurs = tuple(family.parallel or not attending for attending in attends)
        return LayerParts(attends, recurs, (True,) * len(attends))
    sizes = feed_forward_sizes(fields)
    feeds = tuple(size > 0 for size in sizes[: len(attends)])
    if len({*sizes} - {0}) != 1:  # the decoder has one size for all
        raise fields.wrong(_FEED_FORWARD)
    if len(feeds) != len(attends) or any(map(all, zip(attends, feeds, strict=True))):
        raise fields.wrong(_FEED_FORWARD)
    recurs = tuple(not any(parts) for parts in zip(attends, feeds, strict=True))
    return LayerParts(attends, recurs, feeds)


def feed_forward_sizes(fields: Fields) -> list[int]:
    """The size in each layer, or 0. Empty if the file has one for all. Raises ModelFileError."""
    stated = fields.get(_FEED_FORWARD)
    if not isinstance(stated, list | np.ndarray):
        return []
    sizes = [int(size) for size in stated if isinstance(size, int | np.integer)]
    if len(sizes) != len(stated) or not any(sizes) or min(sizes) < 0 or max(sizes) > MOST_WIDTH:
        raise fields.wrong(_FEED_FORWARD)
    return sizes
