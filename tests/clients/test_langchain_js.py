"""LangChain JS: an agent's loop, `withStructuredOutput` and a stream."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.node_program import printed_by

pytestmark = [pytest.mark.model, pytest.mark.clients]


def test_an_agent_loops_and_an_object_is_filled_in(base_url, tmp_path: Path):
    said = printed_by("langchain.mjs", base_url, folder=tmp_path)
    assert said["asked"] == ["Paris"]
    assert said["types"] == ["human", "ai", "tool", "ai"]
    assert "Paris" in said["said"]
    assert said["dish"]["plates"] == 2
    assert "Paris" in said["streamed"]
    assert said["tokens"] > 0
