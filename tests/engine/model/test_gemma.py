"""A second real model, of another family, tokenizer and quantization than the default one."""

from __future__ import annotations

import pytest

from minikin.config import EngineSettings
from minikin.engine.loader import load_engine
from minikin.engine.messages import GenerationRequest, SamplingParams
from tests.gemma_model import gemma_model

pytestmark = [
    pytest.mark.model,
    pytest.mark.thorough,
    pytest.mark.timeout(900),  # the first time, it is fetched
]


@pytest.fixture(scope="module")
def engine():
    return load_engine(EngineSettings(model=gemma_model(), threads=1))[0]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Monday, Tuesday, Wednesday,", " Thursday, Friday, Saturday"),
        ("One, two, three, four,", " five, six, seven"),
        ("def fibonacci(n):\n", "return"),
    ],
)
def test_gemma_continues_a_text(engine, prompt, expected):
    tokens = [engine.tokenizer.bos_id, *engine.tokenizer.encode(prompt)]
    params = SamplingParams(max_tokens=20, temperature=0.0)
    engine.add(GenerationRequest(id="gemma", prompt=tokens, params=params))
    text = ""
    while engine.busy:
        text += "".join(event.text for event in engine.step())
    assert expected in text
