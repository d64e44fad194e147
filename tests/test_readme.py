"""The examples of README.md give the answers that stand there."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
VARYING = {"id", "created", "system_fingerprint"}


def block(language: str, containing: str = "") -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return next(text for text in blocks if containing in text)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where the default model is served."""
    model = os.environ.get("MINIKIN_TEST_MODEL")
    if not model:
        pytest.skip("MINIKIN_TEST_MODEL does not name a GGUF file of the default model")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "minikin", "serve", "--model", model, "--port", str(port)]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(command, env=env) as server:
        try:
            wait_ready(f"http://127.0.0.1:{port}/ready", server)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()


def wait_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail("the server did not get ready")


@pytest.mark.model
def test_curl_example(address: str):
    sent = re.search(r"-d '(.*?)'", block("sh", "curl"), re.DOTALL)
    assert sent is not None
    url = f"http://{address}/v1/chat/completions"
    answer: dict[str, Any] = httpx.post(url, json=json.loads(sent[1]), timeout=60).json()
    shown: dict[str, Any] = json.loads(block("json"))
    assert list(answer) == list(shown)
    assert {**answer, **dict.fromkeys(VARYING)} == {**shown, **dict.fromkeys(VARYING)}


@pytest.mark.model
def test_sdk_example(address: str):
    script = block("python", "OpenAI").replace("127.0.0.1:8000", address)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.stdout == block("text"), run.stderr
