"""A model that answers in harmony's channels, over HTTP."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.fakes import CHATML, ScriptedEngine

TEMPLATE = (
    CHATML + "{# tools <|start|>assistant<|channel|>final<|message|> #}{{ reasoning_effort }}"
)
THOUGHT = ["<|channel|>", "analysis", "<|message|>", "Hm", ".", "<|end|>", "<|start|>", "assistant"]
FINAL = [*THOUGHT, "<|channel|>", "final", "<|message|>", "Yes", "."]
CALL = [
    *THOUGHT,
    "<|channel|>", "comment", "ary", " to=functions.f", " ", "<|constrain|>", "json", "<|message|>",
    '{"a"', ": 1}",
]  # fmt: skip
ASK = {"model": "tiny", "messages": [{"role": "user", "content": "Hi, json"}]}
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
NAMED = {"type": "function", "function": {"name": "f"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "boolean"}}}


def post(server, **options):
    return httpx.post(f"{server.url}/v1/chat/completions", json=ASK | options, timeout=30)


def choice(server, **options):
    answer = post(server, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]


def grammar(server) -> str:
    return server.engine.requests[-1].params.grammar


def test_thoughts_and_words_stand_apart(serve):
    server = serve(ScriptedEngine(tokens=FINAL), template=TEMPLATE)
    answer = post(server, logprobs=True).json()
    (found,) = answer["choices"]
    assert found["message"]["reasoning_content"] == "Hm."
    assert found["message"]["content"] == "Yes."
    assert found["finish_reason"] == "stop"
    assert [entry["token"] for entry in found["logprobs"]["content"]] == ["Yes", "."]
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == 2
    assert grammar(server) is None


def test_channels_are_streamed(serve):
    server = serve(ScriptedEngine(tokens=FINAL), template=TEMPLATE)
    lines = post(server, stream=True).text.split("\n\n")
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"reasoning_content": "Hm"},
        {"reasoning_content": "."},
        {"content": "Yes"},
        {"content": "."},
        {},
    ]


@pytest.mark.parametrize(
    ("tool_choice", "reason"), [("auto", "tool_calls"), ("required", "tool_calls"), (NAMED, "stop")]
)
def test_calls_are_found_and_held_to_a_grammar(serve, tool_choice, reason):
    server = serve(ScriptedEngine(tokens=CALL), template=TEMPLATE)
    found = choice(server, tools=TOOLS, tool_choice=tool_choice)
    assert found["message"]["reasoning_content"] == "Hm."
    assert found["message"]["content"] is None
    (call,) = found["message"]["tool_calls"]
    assert call["function"] == {"name": "f", "arguments": '{"a": 1}'}
    assert found["finish_reason"] == reason
    assert ("final" in grammar(server)) == (tool_choice == "auto")
    assert (" to=functions.g" in grammar(server)) == (tool_choice != NAMED)


def test_an_answer_with_a_format_can_follow_reasoning(serve):
    tokens = [*FINAL[:-2], "true"]
    server = serve(ScriptedEngine(tokens=tokens), template=TEMPLATE)
    found = choice(server, response_format=SCHEMA)["message"]
    assert found["reasoning_content"] == "Hm."
    assert found["content"] == "true"
    assert "boolean" in grammar(server)
    assert "analysis" in grammar(server)


def test_an_answer_cut_off_in_a_header_has_no_content(serve):
    server = serve(ScriptedEngine(tokens=FINAL), template=TEMPLATE)
    found = choice(server, max_tokens=10)
    assert found["finish_reason"] == "length"
    assert found["message"]["content"] == ""


def test_a_call_without_tools_is_content(serve):
    server = serve(ScriptedEngine(tokens=CALL), template=TEMPLATE)
    found = choice(server)["message"]
    assert found["content"].endswith('<|message|>{"a": 1}')


def test_how_much_to_think_goes_to_the_template(serve):
    server = serve(ScriptedEngine(tokens=FINAL), template=TEMPLATE, extensions=True)
    choice(server, reasoning_effort="high")
    ids = server.engine.requests[-1].prompt
    assert bytes(i for i in ids if i < 256).endswith(b"high")
    fault = post(server, reasoning_effort="none").json()["error"]
    assert (fault["param"], fault["code"]) == ("reasoning_effort", "unsupported_value")


def test_an_answer_in_channels_continues_nothing(serve):
    server = serve(ScriptedEngine(tokens=FINAL), template=TEMPLATE, extensions=True)
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}]
    fault = post(server, messages=messages, continue_final_message=True).json()["error"]
    assert fault["param"] == "continue_final_message"


def test_stop_texts_count_in_the_final_channel_alone(serve):
    server = serve(ScriptedEngine(tokens=FINAL), template=TEMPLATE)
    for stop in ("final", "analysis", "Hm", "<|", "channel", "assistant"):
        message = choice(server, stop=stop)["message"]
        assert (message["reasoning_content"], message["content"]) == ("Hm.", "Yes.")
    assert choice(server, stop="s")["message"]["content"] == "Ye"
    server.engine.tokens = CALL
    for extra in ({}, {"tool_choice": "required"}):
        (call,) = choice(server, tools=TOOLS, stop=["to=", "a", "1"], **extra)["message"][
            "tool_calls"
        ]
        assert call["function"]["arguments"] == '{"a": 1}'
