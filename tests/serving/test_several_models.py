"""Several real models in one server, each with an engine process of its own."""

import os
import shutil
import signal
import subprocess
import sys

import httpx
import pytest

from tests.patience import until
from tests.processes import children
from tests.real_model import default_model, real_server

pytestmark = pytest.mark.model

ENDLESS = {"logit_bias": {"0": -100, "2": -100}}
"""Bans the tokens that end an answer."""


def body(model: str, **options):
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    return {"model": model, "messages": messages, "temperature": 0, **options}


def engines(server) -> set[int]:
    below = children(server.process.pid).items()
    return {pid for pid, words in below if "minikin.engine_main" in words}


def test_two_models_stand_apart(tmp_path):
    # One file under two names is one model.
    file, copy = default_model(), tmp_path / "copy.gguf"
    shutil.copyfile(file, copy)
    models = ("--model", f"a={file}", "--model", f"b={copy}")
    with real_server(*models, "--unload-after", "5") as server:
        url = f"{server.url}/v1/chat/completions"
        sent = body("gpt-4.1-mini", stream=True, max_tokens=500, **ENDLESS)
        with httpx.stream("POST", url, json=sent, timeout=60) as running:
            lines = running.iter_lines()
            next(lines)
            (first,) = engines(server)  # only a model in use is sure to be there
            answer = httpx.post(url, json=body("b", max_tokens=30), timeout=60).json()
            assert "Paris" in answer["choices"][0]["message"]["content"]
            assert answer["model"] == "b"
            (second,) = engines(server) - {first}
            os.kill(second, signal.SIGKILL)
            assert "data: [DONE]" in list(lines), "b's loading and death are nothing to a"
        until(lambda: not engines(server))  # unused models leave
        assert httpx.get(f"{server.url}/ready").status_code == 200
        assert httpx.post(url, json=body("a", max_tokens=1), timeout=60).status_code == 200


def test_a_machine_without_a_compiler_and_without_pytorch_gets_the_next_step(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('No module named torch')")
    environment = {"PATH": str(tmp_path), "MINIKIN_CACHE": str(tmp_path)}
    failed = subprocess.run(
        [sys.executable, "-m", "minikin", "serve", "--model", default_model(), "--port", "8998"],
        env=os.environ | environment | {"PYTHONPATH": os.pathsep.join([str(tmp_path), "src"])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1] == (
        "error: The native kernels could not be made. Install gcc and start again, or install "
        "PyTorch: pip install 'minikin[torch]'."
    )
    assert "clang not found" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_prompts_are_not_shared_between_keys():
    keys = ("--api-key", "sk-one", "--api-key", "sk-two")
    with real_server(*keys) as server:
        text = "word " * 1200
        sent = body("gpt-4.1-mini", messages=[{"role": "user", "content": text}], max_tokens=1)

        def cached(key: str) -> int:
            answer = httpx.post(
                f"{server.url}/v1/chat/completions",
                json=sent,
                headers={"Authorization": f"Bearer {key}"},
                timeout=60,
            )
            return answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"]

        assert [cached(key) for key in ("sk-one", "sk-two", "sk-one")] == [0, 0, 1152]
