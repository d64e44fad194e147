"""Inputs of custom tools that the default model writes, against the client's grammars."""

from __future__ import annotations

import re

import openai
import pytest

from tests.real_model import default_model, real_server

pytestmark = [pytest.mark.model, pytest.mark.thorough]

MODEL = "gpt-4.1-mini"
SUM = r"""
start: expr
expr: term (SP ADD SP term)* -> add
    | term
term: factor (SP MUL SP factor)* -> mul
    | factor
factor: INT
SP: " "
ADD: "+"
MUL: "*"
INT: /[0-9]{1,4}/
"""
PATCH = r"""
start: begin line{1,3} end
begin: "*** Begin Patch" LF
end: "*** End Patch" LF?
line: /[+ -]/ /[a-z "\\\t{}]{1,20}/ LF
%import common.LF
"""
QUOTES = r"""
start: "say(\"" WORD "\")\n" "{" [WORD] "}"
WORD: /[a-z]{1,9}/
"""
WHOLE = {
    "sum": (SUM, r"[0-9]{1,4}( [+*] [0-9]{1,4})*"),
    "patch-file": (
        PATCH,
        r'\*\*\* Begin Patch\n([+ -][a-z "\\\t{}]{1,20}\n){1,3}\*\*\* End Patch\n?',
    ),
    "quotes": (QUOTES, r'say\("[a-z]{1,9}"\)\n\{[a-z]{0,9}\}'),
}
DATE = r"20[0-9]{2}-[01][0-9]-[0-3][0-9]|\"never\"\\"
NOTE = {"type": "function", "name": "note", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture(scope="module")
def client():
    default_model()
    with (
        real_server() as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as client,
    ):
        yield client


def custom(name, syntax, definition):
    return {
        "type": "custom",
        "name": name,
        "description": "Takes a text.",
        "format": {"type": "grammar", "syntax": syntax, "definition": definition},
    }


def request(tool, seed, **more):
    return {
        "model": MODEL,
        "input": f"Use the tool {tool['name']}, attempt {seed}.",
        "tools": [tool, NOTE],
        "tool_choice": {"type": "custom", "name": tool["name"]},
        "temperature": 1,
        "max_output_tokens": 150,
    } | more


def streamed(client, **fields):
    """The finished response, after its input was compared with the deltas."""
    deltas, done = [], []
    with client.responses.stream(**fields) as stream:
        for event in stream:
            if event.type == "response.custom_tool_call_input.delta":
                deltas.append(event.delta)
            elif event.type == "response.custom_tool_call_input.done":
                done.append(event.input)
        response = stream.get_final_response()
    (call,) = response.output
    assert "".join(deltas) == done[0] == call.input
    return response


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_an_input_matches_its_lark_grammar(client, name, stream):
    definition, whole = WHOLE[name]
    for seed in range(3):
        fields = request(custom(name, "lark", definition), seed)
        response = streamed(client, **fields) if stream else client.responses.create(**fields)
        (call,) = response.output
        assert (call.type, call.name, response.status) == ("custom_tool_call", name, "completed")
        assert re.fullmatch(whole, call.input), call.input


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_an_input_matches_its_regular_expression(client, stream):
    for seed in range(3):
        fields = request(custom("day", "regex", DATE), seed)
        response = streamed(client, **fields) if stream else client.responses.create(**fields)
        (call,) = response.output
        assert re.fullmatch(DATE, call.input), call.input


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_other_tools_stay_possible_beside_a_lark_grammar(client, choice):
    fields = request(custom("sum", "lark", SUM), 0) | {"tool_choice": choice}
    for response in (client.responses.create(**fields), client.responses.create(**fields)):
        for item in response.output:
            if item.type == "custom_tool_call":
                assert re.fullmatch(WHOLE["sum"][1], item.input)


def test_the_result_of_a_call_continues_the_chain(client):
    tool = custom("sum", "lark", SUM)
    first = client.responses.create(**request(tool, 0))
    (call,) = first.output
    output = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "42"}
    again = client.responses.create(
        model=MODEL, input=[output], tools=[tool], tool_choice="none", previous_response_id=first.id
    )
    assert again.output_text


@pytest.mark.parametrize("room", [16, 24, 32])
def test_an_input_at_the_limit_is_whole_or_incomplete(client, room):
    tool = custom("sum", "lark", SUM)
    response = client.responses.create(**request(tool, 0) | {"max_output_tokens": room})
    for call in response.output:
        if response.status == "completed" and call.type == "custom_tool_call":
            assert re.fullmatch(WHOLE["sum"][1], call.input), call.input


@pytest.mark.parametrize(
    ("syntax", "definition"),
    [
        ("lark", "start: missing"),
        ("lark", "start: /(/"),
        ("lark", "expr: 'a'"),
        ("lark", 'start: %json {"type": "object"}'),
        ("lark", "start: @other"),
        ("lark", "start: <|im_end|>"),
        ("lark", "start: <[1]>"),
        ("lark", '%llguidance {"no_forcing": true}\nstart: "a"'),
        ("regex", "("),
        ("regex", "(?=a)b"),
    ],
)
def test_a_grammar_that_cannot_be_followed_is_refused(client, syntax, definition):
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as raised:
            client.responses.create(**request(custom("x", syntax, definition), 0), stream=stream)
        error = raised.value.body
        assert error["type"] == "invalid_request_error"
        assert (error["param"], error["code"]) == ("tools[0].format.definition", "invalid_grammar")
