from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from gguf.constants import GGMLQuantizationType

from minikin.engine.batch import make_batch
from minikin.engine.cuda.cache import PagedCache
from minikin.engine.cuda.choose import Limits
from minikin.engine.cuda.rows import split
from minikin.engine.messages import GenerationRequest, SamplingParams
from minikin.engine.model.block import BLOCK
from minikin.engine.native.draw import Draw
from minikin.engine.pytorch.decoder import TorchDecoder
from minikin.engine.sequence import Sequence
from minikin.engine.span import Span
from tests.engine.cuda import tiny as device
from tests.engine.model.test_families import PROMPTS, answers, load, logits
from tests.engine.tiny_gguf import write_gguf
from tests.engine.tiny_models import FAMILIES
from tests.thorough import mostly_thorough

READING = ["Llama 2", "Gemma 2", "gpt-oss", "Qwen3-MoE", "GLM-4.5", "DeepSeek-V3"]
IN_PYTORCH = ["LFM2", "Qwen3.5", "Granite 4 Hybrid", "Falcon-H1", "Gemma 4"]


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_gpu)]


def on(path, kind):
    """The path of a GPU with the numbers of a CPU, or the GPU with its own."""
    if kind == "cpu":
        return device.load(path)
    from minikin.engine.cuda.graphs import CudaCapture
    from minikin.engine.cuda.triton_operations import TritonOperations

    own = TritonOperations(torch.bfloat16)
    return device.load(path, own, dtype=torch.bfloat16, device=kind, capture=CudaCapture())


@pytest.mark.parametrize("kind", DEVICES)
@pytest.mark.parametrize("family", mostly_thorough(FAMILIES, *READING[:3], "DeepSeek-V2-Lite"))
@torch.inference_mode()
def test_each_family_computes_what_the_cpu_does(tmp_path, family, kind):
    tiny = FAMILIES[family]
    write_gguf(tiny, tiny.make(), path := tmp_path / "model.gguf")
    ours, plain = on(path, kind), load(path)
    for size in (len(PROMPTS[0]), 13, 1):
        found, expected = (logits(engine, PROMPTS[0], size).cpu() for engine in (ours, plain))
        if kind == "cpu":
            assert (found - expected).abs().max() < 1e-4, size
        else:
            assert (found - expected).norm() / expected.norm() < 2e-2, size
    if kind == "cpu":
        assert answers(ours, PROMPTS, 20) == answers(plain, PROMPTS, 20)


@pytest.mark.parametrize("family", ["Llama 2", "Mixtral"])
@pytest.mark.parametrize("kind", [GGMLQuantizationType.Q8_0, GGMLQuantizationType.Q4_0])
@torch.inference_mode()
def test_packed_weights_are_those_of_the_file(tmp_path, family, kind):
    tiny = FAMILIES[family]
    tiny = replace(tiny, config=tiny.config | {"head_dim": 64}, metadata=dict(tiny.metadata))
    write_gguf(tiny, tiny.make(), path := tmp_path / "model.gguf", kind)
    ours = device.load(path)
    assert ours.decoder._weights.layers[0].qkv.bits == (4 if kind.name == "Q4_0" else 8)
    found, expected = (logits(engine, PROMPTS[0], 13) for engine in (ours, load(path)))
    # PyTorch's 4-bit kernel on the CPU rounds the inputs of an expert with few rows to bfloat16.
    assert (found - expected).norm() / expected.norm() < 1e-2


@pytest.mark.parametrize("family", READING)
def test_a_step_reads_nothing_back(tmp_path, family):
    """The device `meta` has no numbers: whatever reads one fails."""
    tiny = FAMILIES[family]
    write_gguf(tiny, tiny.make(), path := tmp_path / "model.gguf")
    engine = device.load(path, device="meta")
    decoder, batch = engine.decoder, mixed_batch(engine)
    hidden = decoder.hidden(batch, engine.cache)
    found = decoder.logits(hidden[batch.sampled_rows], batch.few_sampled)
    changes = np.array([3, 5]), np.array([1, -1], np.float32)
    draws = [Draw(0.7, 0.9, 0.0, 5, 0.3, changes), Draw(changes=changes)]
    decoder.chooser.restrict(found, [None, np.ones(found.shape[1] - 1, np.bool_)])
    chosen = decoder.chooser.chosen(found, draws)
    assert chosen.device.type == "meta"
    assert chosen.shape == (2,)
    rows, limits = split(batch)[0], Limits.of(draws[:1])
    fed = torch.zeros(1, dtype=torch.int64, device="meta")
    assert decoder._answers(rows, engine.cache, limits, fed).shape == (1,)


@pytest.mark.parametrize("family", IN_PYTORCH)
@torch.inference_mode()
def test_layers_without_kernels_are_on_the_device_too(tmp_path, family):
    """A tensor on another device than `meta` fails."""
    tiny = FAMILIES[family]
    write_gguf(tiny, tiny.make(), path := tmp_path / "model.gguf")
    engine = device.load(path, device="meta")
    assert isinstance(engine.decoder, TorchDecoder)
    batch = mixed_batch(engine)
    assert len(batch.stretches) >= 2 or not engine.cache.rooms
    hidden = engine.decoder.hidden(batch, engine.cache)
    assert engine.decoder.logits(hidden, 0).device.type == "meta"


@pytest.mark.parametrize("family", mostly_thorough(READING, "Llama 2"))
@torch.no_grad()
def test_a_step_is_one_graph(tmp_path, family):
    tiny = FAMILIES[family]
    write_gguf(tiny, tiny.make(), path := tmp_path / "model.gguf")
    engine = device.load(path)
    decoder, cache = engine.decoder, engine.cache
    answer = split(mixed_batch(engine))[0].filled(4, cache.spare).inputs(torch.device("cpu"))

    numbers = Limits.of([Draw(), Draw(1.0, point=0.3), Draw(0.7, 0.9, 0.1, 5, 0.6), Draw()])
    limits = Limits(numbers.kind, torch.from_numpy(numbers.numbers))

    def step():
        return decoder.run(answer, cache), decoder._step(answer, limits, cache=cache)

    expected = step()
    found = torch.compile(step, fullgraph=True, backend="eager")()
    assert all(map(torch.equal, found, expected))


def mixed_batch(engine):
    """One answer's token, and the end of a prompt."""
    spans = []
    for role, start, length in (("exact", 40, 1), ("prompt", 16, 20)):
        params = SamplingParams(max_tokens=1)
        prompt = PROMPTS[0][: start + length]
        sequence = Sequence.begin(
            GenerationRequest(id=role, prompt=prompt, params=params), 0, engine.tokenizer
        )
        sequence.blocks = engine.scheduler.pool.allocate(2)
        engine.scheduler.states.begin(sequence, engine.scheduler.pool)
        spans.append(Span(sequence, start, length, role=role))
    engine.scheduler.states.reserve(spans)
    return make_batch(spans)


@torch.inference_mode()
def test_rows_that_fill_up_a_step_change_no_sequence(tmp_path):
    tiny = FAMILIES["Llama 2"]
    write_gguf(tiny, tiny.make(), path := tmp_path / "model.gguf")
    engine = device.load(path)
    decoder, cache = engine.decoder, engine.cache
    rows = split(mixed_batch(engine))[0]
    other = PagedCache(decoder.architecture, 1024, dtype=torch.float32, device=decoder.device)
    alone = decoder.run(rows.inputs(decoder.device), other)
    filled = decoder.run(rows.filled(8, cache.spare).inputs(decoder.device), cache)
    assert torch.allclose(filled[:1], alone, atol=1e-5)
    written = slice(cache.blocks * BLOCK)
    assert torch.allclose(cache.keys[:, written], other.keys[:, written], atol=1e-5)
