"""LiteLLM: its documented loop of function calling."""

from __future__ import annotations

import json

import pytest

from tests.client_packages import python_with
from tests.clients.jobs import PROGRAMS, printed

pytestmark = [pytest.mark.model, pytest.mark.clients]


def test_the_documented_loop_ends_with_an_answer(base_url):
    said = printed([python_with("litellm"), PROGRAMS / "litellm_loop.py", base_url])
    assert said["finish"] == "tool_calls"
    assert json.loads(said["results"][0])["temperature"] != "unknown"
    assert said["text"]
    assert said["streamed"] == said["calls"]
    assert said["usage"][0] == said["usage"][1]
