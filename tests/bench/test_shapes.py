"""The models of `make bench-large`, narrower and with fewer layers."""

from dataclasses import replace

import pytest

from bench.shapes import EVERY, SHAPES, write
from minikin.config import EngineSettings
from minikin.engine.loader import load_engine
from minikin.engine.messages import GenerationRequest, SamplingParams
from tests.real_model import default_model

pytestmark = pytest.mark.model


@pytest.mark.parametrize("name", SHAPES)
def test_a_model_of_each_shape_loads_and_answers(name, tmp_path):
    shape = replace(SHAPES[name], layers=EVERY, hidden=256, feed_forward=512)
    write(shape, file := tmp_path / "model.gguf", default_model())
    engine, _ = load_engine(EngineSettings(model=file, context_length=64), lambda *_: None)
    params = SamplingParams(max_tokens=4, temperature=0, logit_bias={0: -100, 2: -100})
    engine.add(GenerationRequest(id="a", prompt=[5, 6, 7], params=params))
    tokens = 0
    while engine.busy:
        tokens += sum(event.usage.completion_tokens for event in engine.step() if event.usage)
    assert tokens == 4
