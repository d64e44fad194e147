from __future__ import annotations

import numpy as np
import pytest
import torch

from minikin.engine.pytorch.upload import upload


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_each_array_keeps_its_shape_and_type(device):
    arrays = np.arange(6).reshape(2, 3), np.ones(3, np.bool_), np.zeros((4, 0)), np.float32([[7]])
    found = upload(torch.device(device), *arrays)
    assert [part.shape for part in found] == [part.shape for part in arrays]
    assert [part.dtype for part in found] == [torch.int64, torch.bool, torch.float64, torch.float32]
    assert {part.device.type for part in found} == {device}
    if device == "cpu":
        assert all(np.array_equal(a, b.numpy()) for a, b in zip(arrays, found, strict=True))
