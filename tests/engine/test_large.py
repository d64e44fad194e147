import json
import subprocess
import sys

import pytest

from bench.shapes import SHAPES, write
from tests.real_model import default_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

LOAD = """
import json, resource, sys, time
from pathlib import Path
from minikin.config import EngineSettings
from minikin.engine.loader import load_engine
from minikin.engine.messages import GenerationRequest, SamplingParams
engine, _ = load_engine(EngineSettings(model=Path(sys.argv[1])))
seconds = time.process_time()
params = SamplingParams(max_tokens=4, temperature=0)
engine.add(GenerationRequest(id="a", prompt=[5, 6, 7], params=params))
tokens = 0
while engine.busy:
    tokens += sum(event.usage.completion_tokens for event in engine.step() if event.usage)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"seconds": seconds, "tokens": tokens, "peak_gib": peak}))
"""


def test_a_model_of_7b_loads_in_a_minute_and_6_gb_and_answers(tmp_path):
    """`pytest -m slow`; `make bench-large` compares its speed."""
    file = tmp_path / "7b.gguf"
    write(SHAPES["7b"], file, default_model())
    run = subprocess.run(
        [sys.executable, "-c", LOAD, str(file)], capture_output=True, check=True, text=True
    )
    found = json.loads(run.stdout)
    assert found["tokens"] == 4
    assert found["seconds"] < 120, "two processors for a minute"
    assert found["peak_gib"] < 6 / 1.073741824
