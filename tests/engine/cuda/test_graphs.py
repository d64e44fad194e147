"""Steps in memory that stays in place. The graph itself is a function that runs them again."""

from __future__ import annotations

import pytest
import torch

from minikin.engine.cuda.operations import PlainOperations
from minikin.engine.messages import GenerationRequest, SamplingParams
from tests.engine.cuda import tiny as device
from tests.engine.model.test_families import PROMPTS, answers
from tests.engine.tiny_gguf import write_gguf
from tests.engine.tiny_models import FAMILIES


class Recorded:
    """Stands in for `CudaCapture`. A step writes to the tensor that it wrote to first."""

    def __init__(self):
        self.steps = self.replays = 0

    def __call__(self, step):
        self.steps += 1
        out = step()

        def replay():
            self.replays += 1
            return out.copy_(step())

        return replay


@pytest.mark.parametrize("family", ["Llama 2", "gpt-oss"])
def test_answers_are_the_same_from_graphs(tmp_path, family):
    tiny = FAMILIES[family]
    write_gguf(tiny, tiny.make(), path := tmp_path / "model.gguf")
    plain, ours = device.load(path), device.load(path, capture=(recorded := Recorded()))
    assert answers(ours, PROMPTS) == answers(plain, PROMPTS)
    assert recorded.replays > 50
    assert recorded.steps <= 8, "of 1, 2 and 4 rows, which also choose the tokens or do not"


def test_more_rows_than_the_largest_graph_run_without(tmp_path, monkeypatch):
    tiny = FAMILIES["Llama 2"]
    write_gguf(tiny, tiny.make(), path := tmp_path / "model.gguf")
    monkeypatch.setattr("minikin.engine.cuda.graphs.SIZES", (1, 2))
    ours = device.load(path, capture=(recorded := Recorded()))
    assert answers(ours, PROMPTS) == answers(device.load(path), PROMPTS)
    assert recorded.steps <= 4


def test_answers_beside_prompts_are_right(tmp_path):
    tiny = FAMILIES["Llama 2"]
    write_gguf(tiny, tiny.make(), path := tmp_path / "model.gguf")
    operations = PlainOperations(torch.float32)
    operations.independent = True  # so that answers and prompts share steps
    plain, ours = device.load(path), device.load(path, operations, capture=Recorded())
    texts = []
    for engine in (plain, ours):
        params = SamplingParams(max_tokens=30, temperature=0.0)
        found = {}
        for number, prompt in enumerate(PROMPTS):
            engine.add(GenerationRequest(id=str(number), prompt=prompt, params=params))
            for _ in range(12):
                for event in engine.step():
                    found[event.id] = found.get(event.id, "") + event.text
        while engine.busy:
            for event in engine.step():
                found[event.id] = found.get(event.id, "") + event.text
        texts.append(found)
    assert texts[0] == texts[1]
