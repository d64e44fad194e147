from __future__ import annotations

import pytest
import torch

from minikin.engine.cuda.crowds import Crowds


@pytest.mark.parametrize("size", [1, 4, 16])
@pytest.mark.parametrize(("rows", "used", "count"), [(1, 1, 1), (1, 2, 9), (37, 3, 5), (20, 2, 64)])
def test_each_pair_is_in_one_tile_of_its_expert(rows, used, count, size):
    torch.manual_seed(rows)
    chosen = torch.stack([torch.randperm(count)[:used] for _ in range(rows)])
    crowds = Crowds.of(chosen, count, size)
    found = {}
    for members, expert in zip(crowds.members.tolist(), crowds.experts.tolist(), strict=True):
        for pair in members:
            if pair < crowds.pairs:
                assert pair not in found
                found[pair] = expert
    assert found == dict(enumerate(chosen.flatten().tolist()))
    assert crowds.inputs(rows)[crowds.members < crowds.pairs].unique().tolist() == [*range(rows)]
