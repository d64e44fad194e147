"""When a model that knows no tools is moved to begin its answer with a call."""

from __future__ import annotations

import httpx
import pytest
from msgspec.structs import replace

from tests.fakes import ScriptedEngine, settings

TOOL = {"type": "function", "function": {"name": "f"}}
USER = {"role": "user", "content": "Hi, json!"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
RESULT = [{"role": "assistant", "tool_calls": [CALL]}]
RESULT += [{"role": "tool", "tool_call_id": "c", "content": "42"}]
RECORD = {"temperature": 0.2, "call_bias": 2.5}


@pytest.fixture
def opening(serve):
    """The text that the answers to a request are moved to begin with."""

    def ask(*messages, path="chat/completions", record=RECORD, **body):
        model = replace(settings().models[0], known_sampling=record)
        server = serve(ScriptedEngine(), models=(model,))
        asked = {"input" if path == "responses" else "messages": [USER, *messages]}
        url = f"{server.url}/v1/{path}"
        answer = httpx.post(url, json={"model": "gpt-4.1-mini", **asked, **body}, timeout=60)
        assert answer.status_code == 200, answer.text
        opening = server.engine.requests[-1].params.opening
        assert not opening.tokens or opening.bias == 2.5
        return bytes(opening.tokens).decode()

    return ask


@pytest.mark.parametrize("more", [{}, {"response_format": {"type": "json_object"}}, {"n": 2}])
def test_an_answer_that_can_be_a_call_may_begin_with_one(opening, more):
    assert opening(tools=[TOOL], **more) == "<tool_call>"


def test_so_may_one_by_responses(opening):
    assert opening(path="responses", tools=[{"type": "function", "name": "f"}]) == "<tool_call>"


@pytest.mark.parametrize("more", [{"tool_choice": "required"}, {"tool_choice": "none"}, {}])
def test_others_may_not(opening, more):
    assert opening(tools=[TOOL] if more else [], **more) == ""


def test_the_result_of_a_call_is_for_an_answer_in_words(opening):
    assert opening(*RESULT, tools=[TOOL]) == ""
    assert opening(*RESULT, USER, tools=[TOOL]) == "<tool_call>"


def test_other_models_decide_for_themselves(opening):
    assert opening(tools=[TOOL], record={}) == ""
