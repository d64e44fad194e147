"""The parts of the script for a GPU, with small shapes and plain operations on the CPU."""

from __future__ import annotations

import pytest
import torch

from bench import gpu
from minikin.engine.cuda.operations import PlainOperations


@pytest.fixture(autouse=True)
def small(monkeypatch):
    sizes = {"LAYERS": 2, "HIDDEN": 64, "INSIDE": 96, "HEADS": 4, "KV_HEADS": 2, "DIM": 32}
    for name, size in sizes.items():
        monkeypatch.setattr(gpu, name, size)
    monkeypatch.setattr(gpu, "LENGTH", 40)
    monkeypatch.setattr(gpu, "STEPS", 10)
    monkeypatch.setattr(gpu, "VOCABULARY", 200)
    monkeypatch.setattr(gpu.Tokens, "vocab_size", 200)
    monkeypatch.setattr(gpu, "CUDA", torch.device("cpu"))
    monkeypatch.setattr(gpu, "BF16", torch.float32)
    monkeypatch.setattr(gpu, "operations", lambda: PlainOperations(torch.float32))
    monkeypatch.setattr(gpu, "CudaCapture", lambda: lambda step: step)
    monkeypatch.setattr(gpu, "seconds", lambda work, times=20: (work(), 0.5)[1])


@pytest.mark.thorough
def test_kernels_are_compared_with_float64():
    found = gpu.kernels()
    assert all(one["error"] < 1e-5 for name, one in found.items() if name != "wrong")


@pytest.mark.thorough
@pytest.mark.parametrize("bits", [None, 4])
def test_streams_are_measured_with_and_without_graphs(bits):
    found = gpu.model(bits, 1e12)
    assert {name for name in found if "streams" in name} == {
        "1 streams, graph", "8 streams, graph", "64 streams, graph",
        "1 streams, no graph", "64 streams, no graph",
    }  # fmt: skip
    assert all(one["tokens a second"] > 0 for name, one in found.items() if "streams" in name)
