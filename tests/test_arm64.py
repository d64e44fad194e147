"""The wheel for 64-bit ARM, in emulation: its kernels, and a server with the default model."""

from __future__ import annotations

import re
import subprocess
from functools import partial

import httpx
import pytest

from minikin.config import EngineSettings
from minikin.engine.loader import load_engine
from minikin.engine.messages import GenerationRequest, SamplingParams
from minikin.engine.native.build import load_library
from minikin.engine.native.variants import PLAIN
from tests import arm64
from tests.processes import ending, free_port
from tests.real_model import ROOT, RunningServer, default_model

pytestmark = [pytest.mark.arm64, pytest.mark.timeout(1800)]

PATIENCE = 900
PROMPT = "The capital of France is"
TOKENS = 6


@pytest.fixture(scope="module")
def emulated(tmp_path_factory):
    return arm64.make(tmp_path_factory.mktemp("arm64"))


def test_the_kernels_compute_what_plain_c_does(emulated, tmp_path):
    tests = "tests/engine/native/test_plain.py"
    # The package is the wheel's, because the sources have no compiled kernels. No marks: they leave
    # most kernels out.
    options = ["--override-ini=pythonpath=.", "--confcutdir=tests/engine/native", "-m", "", "-rA"]
    command = [
        emulated.python, "-m", "pytest", *options, "-p", "no:cacheprovider", tests,
        "-k", "not (layers and (96 or 256))",
    ]  # fmt: skip
    run = subprocess.run(
        command, cwd=ROOT, env=emulated.environment(tmp_path), capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]
    for instructions in ("NEON", "NEON i8mm"):
        passed = re.findall(rf"PASSED .*\[{instructions}[-\]]", run.stdout)
        assert len(passed) > 15, run.stdout[-3000:]


@pytest.mark.slow
def test_a_server_writes_the_tokens_that_plain_c_chooses_here(emulated, tmp_path):
    engine, _ = load_engine(
        EngineSettings(model=default_model(), context_length=128),
        find_kernels=partial(load_library, PLAIN),
    )
    prompt = engine.tokenizer.encode(PROMPT)
    params = SamplingParams(max_tokens=TOKENS, temperature=0)
    engine.add(GenerationRequest(id="x", prompt=prompt, params=params))
    expected = ""
    while engine.busy:
        expected += "".join(event.text for event in engine.step())
    port = free_port()
    options = ["--port", str(port), "--context-length", "128", "--extensions"]
    process = subprocess.Popen(
        [emulated.python, "-m", "minikin", "serve", default_model(), *options],
        env=emulated.environment(tmp_path),
    )
    with ending(process, PATIENCE):
        server = RunningServer(f"http://127.0.0.1:{port}", process)
        server.wait_ready(PATIENCE)
        body = {"model": "gpt-4.1-mini", "prompt": PROMPT, "max_tokens": TOKENS, "temperature": 0}
        answer = httpx.post(f"{server.url}/v1/completions", json=body, timeout=PATIENCE)
        assert answer.json()["choices"][0]["text"] == expected
    assert process.returncode == 0
