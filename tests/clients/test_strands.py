"""strands-agents: an agent's loop with a tool, and a structured output."""

from __future__ import annotations

import pytest

from tests.client_packages import python_with
from tests.clients.jobs import PROGRAMS, printed

pytestmark = [pytest.mark.model, pytest.mark.clients]


def test_an_agent_loops_and_an_object_is_filled_in(base_url):
    said = printed([python_with("strands"), PROGRAMS / "strands_loop.py", base_url])
    assert said["asked"] == ["Paris"]
    assert said["stop"] == "end_turn"
    assert said["roles"] == ["user", "assistant", "user", "assistant"]
    assert "Paris" in said["text"]
    assert said["tokens"] > 0
    assert said["dish"]["plates"] == 2
