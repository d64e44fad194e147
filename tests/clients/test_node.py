"""Node: fetch, and the `openai` package."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.jobs import PROGRAMS, chat_in_both_ways
from tests.node_packages import node_packages

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def node() -> str:
    return shutil.which("node") or pytest.skip("Node is not installed")


def test_fetch_gets_an_answer_and_a_stream(base_url, node):
    chat_in_both_ways(base_url, [node, PROGRAMS / "fetch.mjs"])


def test_the_package_chats_streams_and_calls_a_tool(base_url, node, tmp_path: Path):
    (tmp_path / "node_modules").symlink_to(node_packages())
    program = shutil.copy(PROGRAMS / "chat.mjs", tmp_path)
    run = subprocess.run([node, program, base_url], capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert "Paris" in said["content"]
    assert said["streamed"] == said["content"]
    assert said["request_id"].startswith("req_")
    assert said["called"][0] in ("Paris", "Rome", "Oslo")
    assert said["after"][:2] == ["assistant", "tool"]
    assert said["error"] == {"status": 400, "param": "n", "code": "integer_below_min_value"}
    assert {"gpt-4.1-mini", "gpt-4.1-mini-2025-04-14"} <= set(said["models"])
