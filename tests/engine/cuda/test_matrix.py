from __future__ import annotations

import gguf
import numpy as np
import pytest
import torch

from minikin.engine.cuda.matrix import DeviceMatrix, bytes_of
from minikin.engine.model.matrix import Matrix
from minikin.model_file.gguf import GGMLType

CPU = torch.device("cpu")


def quantized(kind, outputs=24, width=256):
    values = np.random.default_rng(1).standard_normal((outputs, width)).astype(np.float32)
    rows = gguf.quantize(values, gguf.GGMLQuantizationType[kind])
    return Matrix(width, [(rows.view(np.uint8).reshape(outputs, -1), GGMLType[kind])])


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q8_0", "Q5_0"])
def test_a_packed_matrix_has_the_numbers_of_its_file(kind):
    matrix = quantized(kind)
    found = DeviceMatrix.of([matrix], torch.bfloat16, CPU)
    expected = torch.from_numpy(matrix.dense())
    assert found.bits == (4 if kind in ("Q4_0", "Q4_1") else 8)
    assert torch.allclose(found.numbers()[0], expected, atol=1e-6)
    some = torch.tensor([3, 23, 3])
    assert torch.allclose(found.rows(some), expected[some], atol=1e-6)
    parts = found.weight, found.scale, found.minimum
    assert bytes_of(matrix, 2) == sum(part.nbytes for part in parts)


def test_numbers_stay_numbers():
    matrix = quantized("F32")
    found = DeviceMatrix.of([matrix, matrix], torch.bfloat16, CPU)
    assert found.bits is None
    assert found.weight.shape == (2, 24, 256)
    assert bytes_of(matrix, 2) * 2 == found.weight.nbytes
