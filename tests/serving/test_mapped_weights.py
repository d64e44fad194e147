"""A server whose weights are mapped from the cache folder, when another program harms the file."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from tests.own_cache import own_cache
from tests.patience import PATIENCE, until
from tests.real_model import default_model, real_server

pytestmark = [pytest.mark.model, pytest.mark.thorough]

ASK = {
    "model": "gpt-4.1-mini",
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
    "temperature": 0,
}


def said(server) -> str:
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=ASK, timeout=2 * PATIENCE)
    return answer.json()["choices"][0]["message"]["content"]


def packed(cache: Path) -> list[Path]:
    return [*(cache / "packed").glob("*.packed")]


def test_an_engine_whose_mapped_file_is_cut_off_comes_back(tmp_path, monkeypatch):
    model = ("--model", str(default_model()))
    monkeypatch.setenv("MINIKIN_CACHE", str(own_cache(tmp_path)))
    with real_server(*model) as server:
        expected = said(server)
        until(lambda: packed(tmp_path))
    with (tmp_path / "log").open("wb") as log, real_server(*model, log=log) as server:
        assert said(server) == expected
        engine = server.engine_pid()
        (file,) = packed(tmp_path)
        os.truncate(file, 1000)
        httpx.post(f"{server.url}/v1/chat/completions", json=ASK, timeout=2 * PATIENCE)
        until(lambda: not Path(f"/proc/{engine}").exists())
        server.wait_ready(PATIENCE)
        assert said(server) == expected
        assert httpx.get(f"{server.url}/health").status_code == 200
    log_text = (tmp_path / "log").read_text()
    assert "Mapped the packed weights" in log_text
    assert "Unpacking the model anew" in log_text
