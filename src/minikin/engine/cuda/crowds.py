"""Which rows each expert of a mixture computes, found on the device."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Crowds:
    """Pairs of a row and one of its experts, in tiles of one expert each.

    Pair p is the expert number p % used of row p // used. The number of tiles depends on shapes
    alone, so that nothing is read back: some tiles have no members.
    """

    pairs: int
    members: torch.Tensor
    """[tiles, size] int64: the pairs of each tile. `pairs` where a place is free."""
    experts: torch.Tensor
    """[tiles] int64."""
    used: int
    """Experts of a row, or 1 if the inputs of a product are in the order of the pairs."""

    @classmethod
    def of(cls, chosen: torch.Tensor, count: int, size: int) -> Crowds:
        """Tiles of up to `size` pairs, from the experts `chosen` [R, used] of `count`."""
        flat = chosen.flatten()
        pairs, device = len(flat), chosen.device
        most = min(pairs, pairs // size + count)
        zeros = torch.zeros(count, dtype=torch.int64, device=device)
        sizes = zeros.scatter_add(0, flat, torch.ones_like(flat))
        ends = ((sizes + size - 1) // size * size).cumsum(0)
        order = flat.argsort(stable=True)
        ordered = flat[order]
        firsts = sizes.cumsum(0) - sizes
        starts = ends - (sizes + size - 1) // size * size
        places = starts[ordered] + torch.arange(pairs, device=device) - firsts[ordered]
        members = torch.full((most * size,), pairs, dtype=torch.int64, device=device)
        members = members.index_copy(0, places, order)
        tiles = torch.arange(most, device=device) * size
        experts = torch.searchsorted(ends, tiles, right=True).clamp(max=count - 1)
        return cls(pairs, members.view(most, size), experts, chosen.shape[1])

    @property
    def alike(self) -> Crowds:
        """The same tiles for inputs that are in the order of the pairs."""
        return Crowds(self.pairs, self.members, self.experts, 1)

    def inputs(self, rows: int) -> torch.Tensor:
        """[tiles, size]: the row of each member among `rows`. Any row where a place is free."""
        return (self.members // self.used).clamp(max=rows - 1)
