"""Vercel's AI SDK, by `openai.chat(...)` and by its provider for compatible servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.node_program import printed_by

pytestmark = [pytest.mark.model, pytest.mark.clients]


@pytest.mark.parametrize("provider", ["openai", "openai-compatible"])
def test_it_answers_streams_fills_in_and_loops(base_url, provider, tmp_path: Path):
    said = printed_by("ai_sdk.mjs", base_url, provider, folder=tmp_path)
    assert "Paris" in said["text"]
    assert said["finishReason"] == "stop"
    assert said["streamed"] == said["text"]
    assert said["tokens"][0] == said["tokens"][1] > 0
    assert said["output"]["plates"] == 2
    assert said["asked"] == ["Paris"]
    assert said["steps"] == ["tool-calls", "stop"]
    assert "Paris" in said["said"]
