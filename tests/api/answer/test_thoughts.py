"""What a reasoning model says to itself, over HTTP."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.fakes import CHATML, ScriptedEngine

MARKS = "{# content.split('</think>') #}"
THINKS = CHATML + MARKS + "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
BEGUN = CHATML + MARKS + "{{ '<think>\\n' }}"
NEMOTRON = CHATML + (
    "{% set enable_thinking = enable_thinking if enable_thinking is defined else true %}"
    "{{ '<think>\\n' if enable_thinking else '<think></think>' }}"
)
TOKENS = ["<think>", "\n", "Hm", ".", "\n", "</think>", "\n\n", "Yes", "."]
ASK = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}
TOOL = {"type": "function", "function": {"name": "f"}}


def post(server, **options):
    return httpx.post(f"{server.url}/v1/chat/completions", json=ASK | options, timeout=60)


def message(server, **options):
    return post(server, **options).json()["choices"][0]["message"]


def prompt(server) -> str:
    ids = server.engine.requests[-1].prompt
    return bytes(i for i in ids if i < 256).decode()


MAGISTRAL = CHATML + "{# [THINK][/THINK] #}"
DRAFT = ["[THINK]", *TOKENS[1:5], "[/THINK]", *TOKENS[7:]]


@pytest.mark.parametrize(
    ("template", "tokens", "counted"),
    [
        (THINKS, TOKENS, 4),
        (BEGUN, TOKENS[2:], 3),
        (NEMOTRON, TOKENS[2:], 3),
        (MAGISTRAL, DRAFT, 4),
    ],
)
def test_thoughts_stand_apart_and_are_counted(serve, template, tokens, counted):
    server = serve(ScriptedEngine(tokens=tokens), template=template)
    answer = post(server, logprobs=True).json()
    (choice,) = answer["choices"]
    assert choice["message"]["reasoning_content"] == "Hm."
    assert choice["message"]["content"] == "Yes."
    assert [entry["token"] for entry in choice["logprobs"]["content"]] == ["Yes", "."]
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == counted
    assert answer["usage"]["completion_tokens"] == len(tokens) + 1


@pytest.mark.parametrize(
    ("template", "end"),
    [
        (CHATML, "\nYes"),
        (THINKS, "<think>\n\n</think>\n\nYes"),
        (BEGUN, "<think>\n\n</think>\n\nYes"),
        (NEMOTRON, "<think></think>Yes"),
    ],
)
def test_an_answer_with_a_beginning_has_no_thoughts(serve, template, end):
    server = serve(ScriptedEngine(tokens=[",", " sir"]), template=template, extensions=True)
    messages = [*ASK["messages"], {"role": "assistant", "content": "Yes"}]
    said = message(server, messages=messages, continue_final_message=True)
    assert said["content"] == ", sir"
    assert prompt(server).endswith(end)


def test_thoughts_are_streamed_before_the_words(serve):
    server = serve(ScriptedEngine(tokens=TOKENS), template=THINKS)
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


def test_thoughts_cut_off_leave_no_words(serve):
    server = serve(ScriptedEngine(tokens=TOKENS), template=THINKS)
    answer = post(server, max_tokens=3).json()["choices"][0]
    assert answer["finish_reason"] == "length"
    assert answer["message"]["content"] == ""
    assert answer["message"]["reasoning_content"] == "Hm"


def test_a_call_may_follow_thoughts(serve):
    call = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
    server = serve(ScriptedEngine(tokens=[*TOKENS[:7], call]), template=THINKS)
    found = message(server, tools=[TOOL])
    assert found["reasoning_content"] == "Hm."
    assert found["content"] is None
    assert found["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}


@pytest.mark.parametrize("begun", [True, False])
def test_a_call_in_reasoning_is_reasoning(serve, begun):
    thought = 'I could <tool_call>\n{"name": "f", "arguments": {}}\n</tool_call> now.'
    call = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
    opening = "" if begun else "<think>"
    template = BEGUN if begun else THINKS
    server = serve(ScriptedEngine(tokens=[opening, thought, "</think>", call]), template=template)
    found = message(server, tools=[TOOL])
    assert found["reasoning_content"] == thought
    assert found["content"] is None
    assert [c["function"]["arguments"] for c in found["tool_calls"]] == ['{"a": 1}']
    grammar = server.engine.requests[-1].params.grammar
    assert "thought[lazy]: " + ("TEXT" if begun else "OPENED TEXT") in grammar
    server.engine.tokens = [opening, thought[:30], "!"]
    cut = post(server, tools=[TOOL], max_tokens=3).json()["choices"][0]
    assert cut["finish_reason"] == "length"
    assert cut["message"]["content"] == ""
    assert cut["message"]["reasoning_content"] == thought[:30] + "!"
    assert "tool_calls" not in cut["message"]


@pytest.mark.parametrize(
    ("template", "end"),
    [(THINKS, "<think>\n\n</think>\n\n"), (NEMOTRON, "assistant\n<think></think>")],
)
@pytest.mark.parametrize(
    "bound",
    [
        {"response_format": {"type": "json_object"}},
        {"tools": [TOOL], "tool_choice": "required"},
        {"tools": [TOOL], "response_format": {"type": "json_object"}},
    ],
)
def test_reasoning_is_turned_off_before_an_answer_with_a_format(serve, bound, template, end):
    server = serve(ScriptedEngine(tokens=["{", "}"]), template=template)
    message(server, messages=[{"role": "user", "content": "JSON"}], **bound)
    assert prompt(server).endswith(end)


def test_a_users_switch_is_the_templates_affair(serve):
    """SmolLM3 and Qwen3 reason unless the prompt contains /no_think."""
    switch = "{% if '/no_think' in messages[0].content %}<think>\n\n</think>\n\n{% endif %}"
    server = serve(ScriptedEngine(tokens=["Yes."]), template=CHATML + MARKS + switch)
    quiet = message(server, messages=[{"role": "system", "content": "/no_think"}, *ASK["messages"]])
    assert (quiet["content"], "reasoning_content" in quiet) == ("Yes.", False)
    server.engine.tokens = TOKENS
    assert message(server)["reasoning_content"] == "Hm."


def test_an_answer_with_a_format_has_no_reasoning(serve):
    server = serve(ScriptedEngine(tokens=["{", "}"]), template=BEGUN)
    asked = [{"role": "user", "content": "JSON"}]
    found = message(server, messages=asked, response_format={"type": "json_object"})
    assert found["content"] == "{}"
    assert "reasoning_content" not in found
    assert prompt(server).endswith("<think>\n\n</think>\n\n")


def test_a_model_without_thoughts_may_write_the_marks(serve):
    found = message(serve(ScriptedEngine(tokens=TOKENS)))
    assert found["content"] == "".join(TOKENS)
    assert "reasoning_content" not in found


def test_how_much_to_think_is_an_extension(serve):
    refused = post(serve(template=THINKS), reasoning_effort="none").json()["error"]
    assert refused["message"] == "Unrecognized request argument supplied: reasoning_effort"
    server = serve(ScriptedEngine(tokens=["Yes"]), template=THINKS, extensions=True)
    message(server, reasoning_effort="low")
    assert "<think>" not in prompt(server)
    message(server, reasoning_effort="none")
    assert prompt(server).endswith("<think>\n\n</think>\n\n")
    fault = post(serve(extensions=True), reasoning_effort="none").json()["error"]
    assert (fault["param"], fault["code"]) == ("reasoning_effort", "unsupported_parameter")


def test_an_answer_may_be_sent_back_with_its_thoughts(serve):
    server = serve(template=THINKS)
    said = {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}
    assert post(server, messages=[*ASK["messages"], said]).status_code == 200
    assert "Hm." not in prompt(server), "this template shows a model no earlier thoughts"


@pytest.mark.parametrize(("template", "tokens"), [(THINKS, TOKENS), (BEGUN, TOKENS[2:])])
def test_stop_texts_count_in_the_answer_alone(serve, template, tokens):
    server = serve(ScriptedEngine(tokens=tokens), template=template)
    for stop in ("Hm", "\n", "\n\n", "think", "."):
        found = message(server, stop=stop)
        assert found["reasoning_content"] == "Hm."
        assert found["content"] == ("Yes" if stop == "." else "Yes.")
