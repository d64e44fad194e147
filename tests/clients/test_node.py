"""Node: fetch, and the `openai` package."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.client_packages import node
from tests.clients.jobs import PROGRAMS, chat_in_both_ways
from tests.clients.node_program import printed_by

pytestmark = pytest.mark.model


def test_fetch_gets_an_answer_and_a_stream(base_url):
    chat_in_both_ways(base_url, [node(), PROGRAMS / "fetch.mjs"])


@pytest.mark.clients
def test_the_package_chats_streams_and_calls_a_tool(base_url, tmp_path: Path):
    said = printed_by("chat.mjs", base_url, folder=tmp_path)
    assert "Paris" in said["content"]
    assert said["streamed"] == said["content"]
    assert said["request_id"].startswith("req_")
    assert said["called"][0] in ("Paris", "Rome", "Oslo")
    assert said["after"][:2] == ["assistant", "tool"]
    assert said["error"] == {"status": 400, "param": "n", "code": "integer_below_min_value"}
    assert {"gpt-4.1-mini", "gpt-4.1-mini-2025-04-14"} <= set(said["models"])
