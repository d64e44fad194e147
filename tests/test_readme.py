"""The examples of README.md give the answers that it shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.real_model import default_model, real_server

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
VARYING = {"id", "created", "system_fingerprint"}


def block(language: str, containing: str = "") -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return next(text for text in blocks if containing in text)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where the default model is served."""
    default_model()
    with real_server() as server:
        yield server.url.removeprefix("http://")


@pytest.mark.model
def test_curl_example(address: str):
    sent = re.search(r"-d '(.*?)'", block("sh", "curl"), re.DOTALL)
    assert sent is not None
    url = f"http://{address}/v1/chat/completions"
    answer: dict[str, Any] = httpx.post(url, json=json.loads(sent[1]), timeout=60).json()
    shown: dict[str, Any] = json.loads(block("json"))
    same = [json.dumps({**body, **dict.fromkeys(VARYING)}) for body in (answer, shown)]
    assert same[0] == same[1], "also the order of the fields"


@pytest.mark.model
def test_responses_example(address: str):
    sent = re.search(r"-d '(.*?)'", block("sh", "/v1/responses"), re.DOTALL)
    assert sent is not None
    url = f"http://{address}/v1/responses"
    answer: dict[str, Any] = httpx.post(url, json=json.loads(sent[1]), timeout=60).json()
    assert "Paris" in answer["output"][0]["content"][0]["text"]


@pytest.mark.model
def test_chat_example(address: str):
    """The conversation on the first screen."""
    command, question, answer = block("console").strip().splitlines()
    options = command.split("minikin ")[1].split()
    chat = [sys.executable, "-m", "minikin", *options, "--base-url", f"http://{address}/v1"]
    typed = question.removeprefix("> ") + "\n"
    run = subprocess.run(chat, input=typed, capture_output=True, text=True)
    assert run.stdout.strip() == answer, run.stderr


@pytest.mark.model
def test_sdk_example(address: str):
    script = block("python", "OpenAI").replace("127.0.0.1:8000", address)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.stdout == block("text"), run.stderr
