"""Whole tiny models on the kernels, in Triton's interpreter."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from gguf.constants import GGMLQuantizationType

from tests.engine.cuda import tiny as device
from tests.engine.model.test_families import PROMPTS, logits
from tests.engine.tiny_gguf import write_gguf
from tests.engine.tiny_models import FAMILIES

triton = pytest.importorskip("triton")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not triton.knobs.runtime.interpret, reason="not TRITON_INTERPRET=1"),
]
CASES = [
    ("Gemma 2", None), ("gpt-oss", None), ("OLMo 2", None), ("Hunyuan", None), ("GLM-4.5", None),
    ("DeepSeek-V3", None),
    ("Llama 2", GGMLQuantizationType.Q4_0), ("Qwen3-MoE", GGMLQuantizationType.Q8_0),
]  # fmt: skip


@pytest.mark.parametrize(("family", "kind"), CASES)
@torch.inference_mode()
def test_the_kernels_compute_what_plain_operations_do(tmp_path, family, kind):
    from minikin.engine.cuda.triton_operations import TritonOperations

    tiny = FAMILIES[family]
    path = tmp_path / "model.gguf"
    if kind is None:
        write_gguf(tiny, tiny.make(), path)
    else:
        tiny = replace(tiny, config=tiny.config | {"head_dim": 64}, metadata=dict(tiny.metadata))
        write_gguf(tiny, tiny.make(), path, kind)
    engines = device.load(path), device.load(path, TritonOperations(torch.float32))
    for tokens, size in ((20, 20), (3, 1)):
        expected, found = (logits(engine, PROMPTS[0][:tokens], size) for engine in engines)
        assert (found - expected).abs().max() < 1e-4, size
