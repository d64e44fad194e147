"""Answers with a seed repeat in company, in native kernels and in PyTorch, also of mixtures."""

from __future__ import annotations

import random

import pytest
import torch
from gguf.constants import GGMLQuantizationType

from bench.determinism import reset
from minikin.engine.messages import GenerationRequest, SamplingParams
from minikin.engine.native.kernels import Kernels
from minikin.engine.native.variants import SETS
from tests.engine.kernel_sets import library_of
from tests.engine.model.test_families import load
from tests.engine.tiny_gguf import write_gguf
from tests.engine.tiny_models import FAMILIES, VOCABULARY
from tests.thorough import mostly_thorough

PREFIX = [(11 * i * i + i) % VOCABULARY for i in range(40)]


def request(name, length, seed, *, own=0):
    prompt = PREFIX + [(own * 31 + 7 * i * i + i) % VOCABULARY for i in range(length)]
    params = SamplingParams(max_tokens=24, temperature=1.0, seed=seed, top_logprobs=2)
    return GenerationRequest(id=name, prompt=prompt, params=params)


def answers(engine, name):
    events = []
    while engine.busy:
        events += engine.step()
        engine.renew()  # at odd moments, as in the idle process
    return [(e.text, e.logprobs, e.finish_reason) for e in events if e.id == name]


def joined(events):
    return "".join(text for text, _, _ in events), [
        entry for _, found, _ in events for entry in found
    ]


TRIED = (
    "gpt-oss", "LFM2", "Qwen3-MoE", "Gemma 2", "Qwen3.5", "Qwen3-Next", "Granite 4 Hybrid MoE",
    "Falcon-H1", "Gemma 4", "Gemma 4 E2B", "Gemma 4 26B-A4B", "Nemotron 3 Nano",
)  # fmt: skip


@pytest.mark.parametrize("kernels", mostly_thorough(["PyTorch", *SETS], "PyTorch", *SETS[1:2]))
@pytest.mark.parametrize("family", mostly_thorough(TRIED, *TRIED[:2]))
@pytest.mark.parametrize(
    "kind",
    [GGMLQuantizationType.Q8_0, pytest.param(GGMLQuantizationType.F16, marks=pytest.mark.thorough)],
)
def test_an_answer_with_a_seed_is_the_same_in_company(tmp_path, family, kind, kernels):
    library = None if kernels == "PyTorch" else library_of(kernels)
    path = tmp_path / "model.gguf"
    tiny = FAMILIES[family]
    write_gguf(tiny, tiny.make(), path, kind)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    engine = load(path, Kernels(library, 1) if library else None)
    wanted = request("x", 50, seed=5, own=9)
    reset(engine, 512, engine.cache.blocks)
    engine.add(wanted)
    alone = joined(answers(engine, "x"))
    assert len(alone[0]) == 24
    rng = random.Random(1)
    for company in (1, 6):
        reset(engine, 32, engine.cache.blocks)
        for i in range(company):
            engine.add(request(f"c{i}", rng.randrange(3, 90), rng.choice([None, 3]), own=i % 3 * 9))
            engine.step()
        engine.add(wanted)
        assert joined(answers(engine, "x")) == alone
    torch.set_num_threads(before)
