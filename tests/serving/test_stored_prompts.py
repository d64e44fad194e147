"""A server whose long prompts outlast it, and its engine."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import httpx
import pytest

from tests.patience import PATIENCE, until
from tests.real_model import default_model, real_server

pytestmark = [pytest.mark.model, pytest.mark.thorough]

SYSTEM = " ".join(random.Random(1).choices(["sea", "river", "stone", "light", "bread"], k=1500))


def ask(server, question="What is the capital of France?", key="one"):
    body = {
        "model": "gpt-4.1-mini",
        "messages": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": question},
        ],
        "temperature": 0,
        "max_tokens": 16,
    }
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx.post(
        f"{server.url}/v1/chat/completions", json=body, headers=headers, timeout=2 * PATIENCE
    ).json()
    cached = answer["usage"]["prompt_tokens_details"]["cached_tokens"]
    return answer["choices"][0]["message"]["content"], cached


def files(folder: Path) -> list[Path]:
    return [*folder.glob("*.prefix")]


def metric(server) -> float:
    headers = {"Authorization": "Bearer one"}
    text = httpx.get(f"{server.url}/metrics", headers=headers).text
    [line] = [x for x in text.splitlines() if x.startswith("minikin_prefix_store_hits_total{")]
    return float(line.split()[-1])


def kill_engine(server) -> None:
    """Kill the engine, and wait until the next one is ready."""
    os.kill(server.engine_pid(), signal.SIGKILL)
    until(lambda: httpx.get(f"{server.url}/ready").status_code == 503)
    server.wait_ready(PATIENCE)


def test_a_restarted_server_and_a_restarted_engine_have_the_prompt(tmp_path):
    folder = tmp_path / "prefixes"
    options = ("--model", str(default_model()), "--api-key", "one", "--api-key", "two")
    options += ("--prefix-store", str(folder))
    with real_server(*options) as server:
        expected, cached = ask(server)
        assert cached == 0
        assert metric(server) == 0
    # A server that ends stores what it computed.
    assert len(files(folder)) >= 10
    with real_server(*options) as server:
        assert ask(server, key="two") == (expected, 0), "another key has prompts of its own"
        found, cached = ask(server)
        assert found == expected
        assert cached >= 1280
        assert metric(server) >= cached
        kill_engine(server)
        assert ask(server) == (expected, cached)
        assert metric(server) >= 2 * cached
        for file in files(folder):
            file.write_bytes(file.read_bytes()[:-1])
        assert ask(server) == (expected, cached), "from memory"
        kill_engine(server)
        assert ask(server) == (expected, 0)
        until(lambda: len(files(folder)) >= 10)


def test_an_engine_that_is_killed_as_it_writes_leaves_nothing_wrong(tmp_path):
    folder = tmp_path / "prefixes"
    options = ("--model", str(default_model()), "--prefix-store", str(folder))
    with real_server("--model", str(default_model())) as server:
        expected = [ask(server, f"{i}?")[0] for i in range(4)]
    with real_server(*options) as server:
        for i in range(4):
            assert ask(server, f"{i}?")[0] == expected[i]
            until(lambda i=i: len(files(folder)) > i)
            kill_engine(server)
