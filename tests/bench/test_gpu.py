"""The script for a GPU, with small shapes and plain operations on the CPU."""

from __future__ import annotations

import json

import pytest
import torch

from bench import gpu
from minikin.engine.cuda.operations import PlainOperations
from tests.engine import tiny_models

FAMILIES = "Llama 2", "Mixtral", "LFM2", "DeepSeek-V2-Lite"


@pytest.fixture(autouse=True)
def small(monkeypatch):
    sizes = {
        "LAYERS": 2, "HIDDEN": 64, "INSIDE": 96, "HEADS": 4, "KV_HEADS": 2, "DIM": 32,
        "LENGTH": 40, "STEPS": 10, "VOCABULARY": 200, "COPIED": 1 << 20, "SQUARE": 64,
        "PROMPT_ROWS": 40, "CUDA": torch.device("cpu"), "BF16": torch.float32,
    }  # fmt: skip
    for name, size in sizes.items():
        monkeypatch.setattr(gpu, name, size)
    monkeypatch.setattr(gpu.Tokens, "vocab_size", 200)
    monkeypatch.setattr(gpu, "operations", lambda: PlainOperations(torch.float32))
    monkeypatch.setattr(gpu, "CudaCapture", lambda: lambda step: step)
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "none")
    some = {name: tiny_models.FAMILIES[name] for name in FAMILIES}
    monkeypatch.setattr(tiny_models, "FAMILIES", some)


@pytest.mark.thorough
def test_all_parts_run_and_reach_the_report(tmp_path):
    gpu.main(["--out", str(out := tmp_path / "results" / "gpu.json")])
    report = json.loads(out.read_text())
    parts = {name.removesuffix(", seconds") for name in report if name.endswith(", seconds")}
    failed = {name: report[name] for name in parts if "Traceback" in str(report[name])}
    assert not failed, "\n".join(failed.values())
    assert parts == {
        "ceilings", "kernels", "bandwidths", "sampling", "families", "8B, 16 bits", "8B, 4 bits",
        "transformers", "profile", "aims",
    }  # fmt: skip
    assert report["kernels"]["wrong"] == []
    assert report["aims"]["families that agree"]["reached"]
    assert all(one["other than the CPU"] == 0 for one in report["sampling"].values())
    for bits in ("8B, 16 bits", "8B, 4 bits"):
        assert {name for name in report[bits] if "streams" in name} == {
            "1 streams, graph", "8 streams, graph", "64 streams, graph",
            "1 streams, no graph", "64 streams, no graph",
        }  # fmt: skip


def test_a_part_that_fails_says_why_and_the_others_go_on(tmp_path, monkeypatch):
    def broken():
        raise RuntimeError("the driver is too old")

    for name in ("kernels", "bandwidths", "sampling"):
        monkeypatch.setattr(gpu, name, broken)
    monkeypatch.setattr(gpu, "families", dict)
    gpu.main(["--out", str(out := tmp_path / "gpu.json")])
    report = json.loads(out.read_text())
    assert "the driver is too old" in report["kernels"]
    assert report["8B"] == "not run: a kernel is wrong"
    assert report["families"] == {}
    assert "KeyError" in report["aims"]
