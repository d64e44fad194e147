"""Which parts each layer of a model has: attention, a recurrence, a feed-forward."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minikin.model_file.family import Family
from minikin.model_file.fields import Fields

_MOST_WIDTH = 2**20
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
    sizes = feed_forward_sizes(fields)[: len(attends)] if has_sizes(fields) else []
    feeds = tuple(size > 0 for size in sizes)
    if len(feeds) != len(attends) or any(map(all, zip(attends, feeds, strict=True))):
        raise fields.wrong(_FEED_FORWARD)
    recurs = tuple(not any(parts) for parts in zip(attends, feeds, strict=True))
    return LayerParts(attends, recurs, feeds)


def has_sizes(fields: Fields) -> bool:
    """Whether the file has the size of each layer's feed-forward, and not one for all."""
    return isinstance(fields.get(_FEED_FORWARD), list | np.ndarray)


def feed_forward_sizes(fields: Fields) -> list[int]:
    """For each layer, 0 or a size that is the same in all. Raises ModelFileError."""
    stated = [*fields.get(_FEED_FORWARD)]
    sizes = [int(size) for size in stated if isinstance(size, int | np.integer)]
    if len(sizes) != len(stated) or len({*sizes} - {0}) != 1 or not 0 < max(sizes) <= _MOST_WIDTH:
        raise fields.wrong(_FEED_FORWARD)
    return sizes
