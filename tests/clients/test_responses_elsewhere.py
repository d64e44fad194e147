"""Clients of the Responses API in processes of their own: two turns with a tool, streamed.

Those of Node, and those whose packages do not fit those of the tests.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.client_packages import python_with
from tests.clients.jobs import PROGRAMS, printed
from tests.clients.node_program import printed_by

pytestmark = [pytest.mark.model, pytest.mark.clients]


@pytest.fixture(scope="module")
def said_by_node(base_url, tmp_path_factory):
    return printed_by("responses.mjs", base_url, folder=tmp_path_factory.mktemp("node"))


def test_the_default_model_of_the_ai_sdk_loops_and_refers_to_items(said_by_node):
    said = said_by_node
    assert said["asked"] == ["Paris"]
    assert said["steps"] == ["tool-calls", "stop"]
    assert "Paris" in said["text"]
    assert said["streamed"] == said["text"]
    assert {"tool-input-delta", "tool-call", "tool-result", "text-delta"} <= set(said["kinds"])
    assert said["referred"][-1] == 1
    assert said["thanks"]


def test_openai_node_continues_a_response(said_by_node):
    said = said_by_node["node"]
    assert said["city"] in ("Paris", "Rome", "Oslo")
    assert said["text"]
    assert said["last"] == "response.completed"


@pytest.mark.parametrize("library", ["llamaindex", "haystack"])
def test_libraries_of_python_call_a_tool_and_answer(base_url: str, library: str):
    program: Path = PROGRAMS / f"{library}_responses.py"
    said = printed([python_with(library), program, base_url])
    assert said["called"] == ["Paris"]
    assert said["text"]
    assert said["streamed"] == said["text"]
