"""A Hugging Face folder behind the real command, over a real socket."""

from __future__ import annotations

import httpx
import pytest
from openai import OpenAI

from tests.engine.tiny_folders import write_folder
from tests.engine.tiny_models import FAMILIES
from tests.real_model import real_server

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = write_folder(FAMILIES["Qwen3"].make(), tmp_path_factory.mktemp("hub") / "tiny")
    with real_server("--model", str(folder)) as server:
        yield server


def test_a_folder_answers_a_client(server):
    client = OpenAI(base_url=f"{server.url}/v1", api_key="unused")
    asked = {"role": "user", "content": "Hi"}
    answer = client.chat.completions.create(
        model="gpt-4.1-mini", messages=[asked], max_tokens=8, temperature=0, logprobs=True
    )
    assert answer.usage.prompt_tokens == len("user\nHi") + 2 + len("\nassistant\n") + 1
    assert answer.choices[0].finish_reason in ("length", "stop")
    again = client.chat.completions.create(
        model="gpt-4.1-mini", messages=[asked], max_tokens=8, temperature=0, logprobs=True
    )
    assert again.choices[0].message == answer.choices[0].message


def test_the_folder_is_told_by_its_name(server):
    names = [model["id"] for model in httpx.get(f"{server.url}/v1/models").json()["data"]]
    assert "tiny" in names
