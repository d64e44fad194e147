"""Bodies that are almost right: after every change, the answer is well formed.

MINIKIN_MUTATIONS sets how many are tried; 10,000 take half a minute. `make fuzz` sends that many to
a server with the default model.
"""

import copy
import json
import os

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes import ScriptedEngine, live_server
from tests.patience import PATIENCE
from tests.real_model import real_server

EXAMPLES = int(os.environ.get("MINIKIN_MUTATIONS", "200"))
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
FULL = {
    "model": "gpt-4.1-mini",
    "messages": [
        {"role": "system", "content": "Answer in JSON.", "name": "boss"},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c", "content": "42"},
        {"role": "developer", "content": "Be brief."},
    ],
    "temperature": 0.5,
    "top_p": 0.9,
    "n": 2,
    "seed": 1,
    "stop": ["a", "b"],
    "max_tokens": 5,
    "logit_bias": {"5": 1.5},
    "logprobs": True,
    "top_logprobs": 2,
    "frequency_penalty": 0.1,
    "presence_penalty": -0.1,
    "stream": True,
    "stream_options": {"include_usage": True, "include_obfuscation": False},
    "store": True,
    "metadata": {"a": "b"},
    "response_format": {"type": "text"},
    "modalities": ["text"],
    "audio": {"format": "wav", "voice": "alloy"},
    "user": "me",
    "service_tier": "auto",
}
EXTRAS = {
    "tools": [TOOL],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "parallel_tool_calls": True,
    "prediction": {"type": "content", "content": [{"type": "text", "text": "x"}]},
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}},
    "verbosity": "medium",
}
RESPONSE = {
    "model": "gpt-4.1-mini",
    "input": [
        {"role": "user", "content": "Answer in JSON."},
        {"type": "message", "role": "assistant", "id": "msg_1", "content": [
            {"type": "output_text", "text": "Hi", "annotations": [], "logprobs": []}
        ]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "id": "fc_1"},
        {"type": "function_call_output", "call_id": "c", "output": [
            {"type": "input_text", "text": "42"}
        ]},
        {"type": "reasoning", "id": "rs_1", "content": [{"type": "reasoning_text", "text": "x"}]},
        {"type": "item_reference", "id": "msg_2"},
    ],
    "instructions": "Be brief.",
    "temperature": 0.5,
    "top_p": 0.9,
    "max_output_tokens": 16,
    "include": ["message.output_text.logprobs"],
    "top_logprobs": 2,
    "frequency_penalty": 0.1,
    "stream": True,
    "stream_options": {"include_obfuscation": False},
    "store": False,
    "metadata": {"a": "b"},
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "truncation": "auto",
    "reasoning": {"effort": None},
    "user": "me",
}  # fmt: skip
FUNCTION = {"type": "function", "name": "f", "parameters": {
    "type": "object", "properties": {"a": {"type": "object", "properties": {}}}, "required": ["a"]
}}  # fmt: skip
RESPONSE_EXTRAS = {
    "tools": [FUNCTION],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [
        {"type": "function", "name": "f"}
    ]},
    "parallel_tool_calls": True,
    "text": {"format": {"type": "json_schema", "name": "s", "schema": {}, "strict": False}},
    "previous_response_id": "resp_1",
    "conversation": {"id": "conv_1"},
    "prompt": {"id": "pmpt_1", "variables": {}},
}  # fmt: skip
COMPLETION = {
    "model": "gpt-4.1-mini",
    "prompt": ["Once", ""],
    "max_tokens": 4,
    "n": 2,
    "best_of": 2,
    "echo": False,
    "logprobs": 2,
    "stream": True,
    "stream_options": {"include_usage": True},
    "stop": ["a"],
    "temperature": 0.5,
    "top_p": 0.9,
    "seed": 1,
    "logit_bias": {"5": 1.5},
    "top_k": 5,
    "min_p": 0.1,
    "user": "me",
}
COMPLETION_EXTRAS = {
    "prompt": [[1, 2], [3]],
    "suffix": None,
    "best_of": 3,
    "repetition_penalty": 1.1,
    "frequency_penalty": 0.1,
}
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["", "\0", "<|im_end|>", "../x", "é\u0301", 10**30, -1, 0, 1e308])
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


def places(value, path=()):
    """Every path into a JSON value."""
    yield path
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in list(items):
            yield from places(item, (*path, key))


@st.composite
def mutated(draw, full, extras):
    body = copy.deepcopy(full)
    for name in draw(st.sets(st.sampled_from(sorted(extras)))):
        body[name] = copy.deepcopy(extras[name])
    prompt = {"model", "messages", "input", "prompt"}
    for name in draw(st.sets(st.sampled_from(sorted(set(body) - prompt)))):
        del body[name]
    for _ in range(draw(st.integers(0, 3))):
        paths = [path for path in places(body) if path]
        if not paths:
            break
        path = draw(st.sampled_from(paths))
        holder = body
        for key in path[:-1]:
            holder = holder[key]
        kind = draw(st.sampled_from(["replace", "delete", "add", "repeat"]))
        if kind == "delete":
            del holder[path[-1]]
        elif kind == "add" and isinstance(holder, dict):
            holder[draw(st.text(max_size=8))] = draw(anything)
        elif kind == "repeat" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[path[-1]]))
        else:
            holder[path[-1]] = draw(anything)
    return body


@pytest.fixture(
    scope="module",
    params=["script", pytest.param("real", marks=[pytest.mark.model, pytest.mark.slow])],
)
def client(request):
    """Of a server with a scripted engine, or with the default model."""
    script, short = request.param == "script", ("--extensions", "--default-max-tokens", "8")
    started = live_server(ScriptedEngine(), extensions=True) if script else real_server(*short)
    with started as server, httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        yield client


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=mutated(FULL, EXTRAS))
def test_a_mutated_body_gets_an_answer_or_a_well_formed_error(client, body):
    answer = client.post("/v1/chat/completions", json=body)
    if answer.status_code == 200:
        assert "[DONE]" in answer.text or "choices" in answer.json()
        return
    check_error(answer, body)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=mutated(RESPONSE, RESPONSE_EXTRAS))
def test_a_mutated_response_body_gets_an_answer_or_a_well_formed_error(client, body):
    answer = client.post("/v1/responses", json=body)
    if answer.status_code == 200:
        assert "event: response.in" in answer.text or answer.json()["object"] == "response"
        return
    check_error(answer, body)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=mutated(COMPLETION, COMPLETION_EXTRAS))
def test_a_mutated_completion_body_gets_an_answer_or_a_well_formed_error(client, body):
    answer = client.post("/v1/completions", json=body)
    if answer.status_code == 200:
        assert "[DONE]" in answer.text or answer.json()["object"] == "text_completion"
        return
    check_error(answer, body)


def check_error(answer, body):
    assert answer.status_code in (400, 404), (answer.text, json.dumps(body))
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["message"]


@settings(max_examples=EXAMPLES // 5, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_broken_bytes_get_a_well_formed_error(client, data):
    text = bytearray(json.dumps(FULL).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    answer = client.post(
        "/v1/chat/completions", content=bytes(text), headers={"content-type": "application/json"}
    )
    assert answer.status_code in (200, 400, 404), answer.text
