"""Structured answers and tool calls as clients see them, over a scripted engine."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import httpx
import openai
import pytest

from tests.chat.families import FAMILIES
from tests.fakes import ScriptedEngine, live_server

FUNCTION = {
    "name": "look_up",
    "description": "Finds a word.",
    "parameters": {
        "type": "object",
        "properties": {"word": {"type": "string"}},
        "required": ["word"],
        "additionalProperties": False,
    },
}
TOOL = {"type": "function", "function": FUNCTION}
OTHER = {"type": "function", "function": {"name": "stop"}}
ASK = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Hi, json"}]}
CALL = [
    "<tool",
    "_call>\n",
    '{"name": "look_up", "argum',
    'ents": {"wo',
    'rd":"a"}',
    "}\n</tool_call>",
]
SECOND = ["\n<tool_call>\n", '{"name": "stop", "arguments": {}', "}\n</tool_call>"]
NAMED = {"type": "function", "function": {"name": "look_up"}}


def allowed(mode, *names):
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


@pytest.fixture(scope="module")
def server():
    with live_server(ScriptedEngine()) as server:
        yield server


@pytest.fixture
def client(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="-", max_retries=0) as client:
        yield client


@pytest.fixture
def ask(server, client):
    def answer(tokens=CALL, **body):
        server.engine.tokens = tokens
        result = client.chat.completions.create(**ASK | body)
        if body.get("stream"):
            result = list(result)
        sent = server.engine.requests[-1]
        prompt = bytes(token for token in sent.prompt if token < 256).decode()
        return SimpleNamespace(result=result, grammar=sent.params.grammar, prompt=prompt)

    return answer


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ("auto", "tool_calls"),
        ("required", "tool_calls"),
        (NAMED, "stop"),
        (allowed("required", "look_up"), "tool_calls"),
    ],
)
def test_calls_are_separated_from_content(ask, choice, reason):
    said = ask(tools=[TOOL], tool_choice=choice)
    [found] = said.result.choices
    assert found.finish_reason == reason
    assert found.message.content is None
    [call] = found.message.tool_calls
    assert re.fullmatch(r"call_[A-Za-z0-9]{24}", call.id)
    assert (call.function.name, call.function.arguments) == ("look_up", '{"word":"a"}')
    assert json.dumps(FUNCTION) in said.prompt


def test_a_streamed_call_has_its_header_once_and_then_fragments(ask):
    chunks = ask(tools=[TOOL], stream=True, logprobs=True).result
    deltas = [chunk.choices[0].delta.model_dump(exclude_unset=True) for chunk in chunks]
    header = deltas[0]["tool_calls"][0]
    assert deltas[0]["content"] is None
    assert deltas[0]["role"] == "assistant"
    assert (header["index"], header["type"]) == (0, "function")
    assert header["function"] == {"name": "look_up", "arguments": ""}
    fragments = [delta["tool_calls"][0] for delta in deltas[1:-1]]
    assert [fragment["function"]["arguments"] for fragment in fragments] == ['{"wo', 'rd":"a"}']
    assert all(set(fragment) == {"index", "function"} for fragment in fragments)
    assert deltas[-1] == {}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_several_calls_come_one_after_the_other(ask):
    whole = ask([*CALL, *SECOND], tools=[TOOL, OTHER]).result.choices[0].message.tool_calls
    assert [call.function.name for call in whole] == ["look_up", "stop"]
    assert len({call.id for call in whole}) == 2
    chunks = ask([*CALL, *SECOND], tools=[TOOL, OTHER], stream=True).result
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    assert [call.index for call in calls] == sorted(call.index for call in calls)
    assert [call.function.name for call in calls if call.id] == ["look_up", "stop"]


def test_words_before_a_call_are_content_with_their_log_probabilities(ask):
    [choice] = ask(["Wait", ".", *CALL], tools=[TOOL], logprobs=True).result.choices
    assert choice.message.content == "Wait."
    assert len(choice.message.tool_calls) == 1
    assert [entry.token for entry in choice.logprobs.content] == ["Wait", "."]


def test_a_text_answer_is_the_same_as_without_tools(ask):
    deltas = [
        [chunk.choices[0].delta.model_dump(exclude_unset=True) for chunk in chunks]
        for chunks in (
            ask(["Hi", "!"], stream=True).result,
            ask(["Hi", "!"], stream=True, tools=[TOOL]).result,
        )
    ]
    assert deltas[0] == deltas[1]


def test_a_call_cut_off_has_finish_reason_length(ask):
    [choice] = ask(tools=[TOOL], max_tokens=4).result.choices
    assert choice.finish_reason == "length"
    assert choice.message.tool_calls[0].function.arguments == '{"wo'


def test_none_leaves_the_tools_out(ask):
    said = ask(tools=[TOOL], tool_choice="none")
    assert said.grammar is None
    assert "Finds a word." not in said.prompt
    assert said.result.choices[0].message.content == "".join(CALL)


def test_only_the_allowed_tools_are_in_the_grammar(ask):
    both = ask(tools=[TOOL, OTHER]).grammar
    one = ask(tools=[TOOL, OTHER], tool_choice=allowed("auto", "look_up")).grammar
    named = ask(tools=[TOOL, OTHER], tool_choice=NAMED).grammar
    assert "stop" in both
    assert "stop" not in one
    assert "stop" not in named
    assert "TEXT" in one
    assert "TEXT" not in named


def test_a_model_without_tools_in_its_template_makes_one_call_by_default(ask, serve):
    assert "{0," not in ask(tools=[TOOL]).grammar
    assert "{0," not in ask(tools=[TOOL], parallel_tool_calls=False).grammar
    assert "{0," in ask(tools=[TOOL], parallel_tool_calls=True).grammar
    assert "{0," not in ask(tools=[TOOL], parallel_tool_calls=True, tool_choice=NAMED).grammar
    server = serve(template=FAMILIES["Qwen3, Hermes"].template)
    for asked, several in (({}, True), ({"parallel_tool_calls": False}, False)):
        url = f"{server.url}/v1/chat/completions"
        answer = httpx.post(url, json=ASK | {"tools": [TOOL]} | asked, timeout=60)
        assert answer.status_code == 200
        assert ("{0," in server.engine.requests[-1].params.grammar) == several


REPEATED = [*CALL, *SECOND, "\n", *CALL, *SECOND]


def test_no_call_comes_twice(ask):
    other = ["\n", *CALL[:-2], 'rd":"ab"}', CALL[-1]]
    whole = ask([*REPEATED, *other], tools=[TOOL, OTHER]).result.choices[0]
    assert [call.function.arguments for call in whole.message.tool_calls] == [
        '{"word":"a"}', "{}", '{"word":"ab"}',
    ]  # fmt: skip
    assert whole.finish_reason == "tool_calls"
    chunks = ask([*REPEATED, *other], tools=[TOOL, OTHER], stream=True).result
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    assert [call.index for call in calls if call.id] == [0, 1, 2]
    last = "".join(call.function.arguments for call in calls if call.index == 2)
    assert last == '{"word":"ab"}'


def test_a_call_that_is_cut_while_it_repeats_another_is_left_out(ask):
    for size in range(2, len(CALL)):
        said = ask([*CALL, "\n", *CALL[:size]], tools=[TOOL], max_tokens=len(CALL) + 1 + size)
        assert len(said.result.choices[0].message.tool_calls) == 1


LEGACY = {"functions": [FUNCTION, OTHER["function"]]}


def test_a_request_with_functions_gets_a_function_call(ask):
    [choice] = ask(**LEGACY).result.choices
    assert choice.finish_reason == "function_call"
    assert choice.message.content is None
    assert choice.message.tool_calls is None
    assert choice.message.function_call.model_dump() == {
        "name": "look_up",
        "arguments": '{"word":"a"}',
    }
    [named] = ask(**LEGACY, function_call={"name": "look_up"}).result.choices
    assert named.finish_reason == "stop"
    assert named.message.function_call.name == "look_up"
    none = ask(["Hi"], **LEGACY, function_call="none")
    assert none.grammar is None
    assert none.result.choices[0].message.function_call is None


def test_a_streamed_function_call_has_its_header_once_and_then_fragments(ask):
    chunks = ask(**LEGACY, stream=True).result
    deltas = [chunk.choices[0].delta.model_dump(exclude_unset=True) for chunk in chunks]
    assert deltas == [
        {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "look_up", "arguments": ""},
            "refusal": None,
        },
        {"function_call": {"arguments": '{"wo'}},
        {"function_call": {"arguments": 'rd":"a"}'}},
        {},
    ]
    assert chunks[-1].choices[0].finish_reason == "function_call"


def test_the_schema_of_a_function_is_refused_at_its_own_place(refusal):
    wrong = refusal(functions=[FUNCTION, {"name": "g", "parameters": {"type": "string"}}])
    assert wrong.param == "functions[1].parameters"
    assert wrong.code == "invalid_function_parameters"


@pytest.fixture
def refusal(server, client):
    def refused(**body):
        before = len(server.engine.requests)
        with pytest.raises(openai.BadRequestError) as raised:
            client.chat.completions.create(**ASK | body)
        assert len(server.engine.requests) == before
        return raised.value

    return refused


def json_schema(schema, **more):
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, **more}}


def test_schemas_that_cannot_be_followed_are_refused_with_their_place(refusal):
    strict = refusal(response_format=json_schema({"type": "object"}, strict=True))
    assert strict.param == "response_format"
    assert strict.code is None
    loose = refusal(response_format=json_schema({"uniqueItems": True, "minItems": 2}))
    assert loose.param == "response_format.json_schema.schema"
    assert "uniqueItems" in loose.message
    bad = {"type": "object", "properties": {"a": {"type": "strin"}}}
    third = refusal(tools=[TOOL, OTHER, tool(bad)])
    assert third.param == "tools[2].function.parameters"
    assert third.code == "invalid_function_parameters"
    assert "function 'f'" in third.message


def tool(parameters, **more):
    function = {"name": "f", "parameters": parameters, **more}
    return {"type": "function", "function": function}


def closed(**properties):
    names = list(properties)
    rest = {"required": names, "additionalProperties": False}
    return {"type": "object", "properties": properties, **rest}


AROUND = {"type": "string", "pattern": "^a(?!b).$"}


def test_a_strict_tool_that_cannot_be_followed_is_refused_with_the_place(refusal):
    error = refusal(tools=[OTHER, tool(closed(a=AROUND), strict=True)])
    assert error.param == "tools[1].function.parameters"
    assert "lookaround is not supported. Found at $.properties.a.pattern." in error.message
    back = refusal(tools=[tool(closed(a={"type": "string", "pattern": r"(a)\1"}), strict=True)])
    assert "In context=('properties', 'a', 'pattern')" in back.message


def test_a_tool_that_is_not_strict_is_not_refused_for_a_keyword(ask):
    assert ask(tools=[tool(closed(a=AROUND)), TOOL]).grammar
    assert ask(tools=[tool({"properties": {"a": {"not": {}}}, "required": ["a"]})]).grammar


@pytest.mark.parametrize("pattern", ["a(?=b)", r"(a)\1", r"\bx", "(((", r"^\Z"])
def test_no_error_shows_the_grammar(refusal, pattern):
    for strict in (True, False):
        form = json_schema(closed(a={"type": "string", "pattern": pattern}), strict=strict)
        for wanted in ({}, {"tools": [TOOL, OTHER]}):
            message = refusal(response_format=form, **wanted).message
            assert not re.search(r"%json|arguments\d|call\d|start:|lexer|rule|-->|\^\^", message)


def test_a_format_and_tools_may_be_asked_for_together(ask):
    said = ask(['{"a":', "1}"], tools=[TOOL], response_format=json_schema({"type": "object"}))
    assert said.result.choices[0].message.content == '{"a":1}'
    assert "answer: %json" in said.grammar
