"""Bodies of POST /v1/responses: what they become, and which fault is reported."""

from __future__ import annotations

import pytest

from minikin.api.request.translate import Limits
from minikin.api.responses.item_rules import ITEM_TYPES
from minikin.api.responses.parameters import EXTENSIONS, PARAMETERS, TABLE
from minikin.api.responses.translate import ResponseRequest, read
from minikin.api.responses.wire import Response
from minikin.engine.messages import SamplingParams
from minikin.errors import InvalidRequest

ASK = {"model": "gpt-4.1-mini", "input": "Hi"}
LIMITS = Limits(models=frozenset({"gpt-4.1-mini"}))
OPEN = Limits(models=frozenset({"gpt-4.1-mini"}), extensions=True)
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "42"}


def request(limits=LIMITS, **fields) -> ResponseRequest:
    body = read(ASK | fields, limits)
    return body.with_context([], body.input)


def fault(limits=LIMITS, **fields) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as raised:
        request(limits, **fields)
    return raised.value


def part(kind):
    return {"role": "user", "content": [{"type": kind, "text": "Hi"}]}


def test_every_destination_exists():
    for parameter in (*PARAMETERS, *EXTENSIONS):
        assert parameter.goes_to
    settings = TABLE.settings({})
    assert settings.keys() <= set(Response.__struct_fields__)
    asked = request(background=False, reasoning=None)
    assert asked.settings == settings
    assert TABLE.request({"input": "Hi"}).keys() <= set(ResponseRequest.__struct_fields__)
    assert TABLE.sampling({"temperature": 1}).keys() <= set(SamplingParams.__struct_fields__)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"zzz": 1, "temperature": "x"}, "zzz", "unknown_parameter"),
        ({"zzz": 1, "model": 7}, "zzz", "unknown_parameter"),
        ({"moderation": 7, "input": 7}, "moderation", "invalid_type"),
        ({"input": 7, "include": 7}, "input", "invalid_type"),
        ({"include": 7, "tools": 7}, "include", "invalid_type"),
        ({"tools": 7, "metadata": 7}, "tools", "invalid_type"),
        ({"metadata": 7, "text": 7}, "metadata", "invalid_type"),
        ({"text": 7, "temperature": 7}, "text", "invalid_type"),
        ({"max_output_tokens": 1, "reasoning": 7}, "max_output_tokens", "integer_below_min_value"),
        ({"store": 7, "service_tier": 7}, "store", "invalid_type"),
        ({"temperature": -1, "model": "x"}, "temperature", "decimal_below_min_value"),
        ({"model": "x", "reasoning": {"effort": "low"}}, "model", "model_not_found"),
        ({"input": "", "reasoning": {"effort": "low"}}, None, "missing_required_parameter"),
        ({"reasoning": {"effort": "low"}}, "reasoning.effort", "unsupported_parameter"),
        ({"reasoning": {"summary": "auto"}}, "reasoning.summary", "unsupported_parameter"),
        ({"reasoning": {"zzz": 1}}, "reasoning.zzz", "unknown_parameter"),
        ({"text": {"verbosity": "low"}}, "text.verbosity", "unsupported_value"),
        ({"include": ["reasoning.encrypted_content"]}, "include", None),
        ({"tools": [{"type": "mcp"}]}, "tools", None),
        ({"tools": [{"type": "custom", "name": "c", "format": {
            "type": "grammar", "syntax": "gbnf", "definition": "x"
        }}]}, "tools[0].format.syntax", "invalid_value"),
        ({"tools": [{"type": "custom", "name": "c", "format": {
            "type": "grammar", "syntax": "lark", "definition": ""
        }}]}, "tools[0].format.definition", "empty_string"),
        ({"tools": [TOOL], "tool_choice": {"type": "custom", "name": "f"}}, "tool_choice", None),
        ({"tools": [{"type": "zzz"}]}, "tools[0].type", "invalid_value"),
        ({"tools": [{"name": "f"}]}, "tools[0].type", "missing_required_parameter"),
        ({"tools": [TOOL, TOOL]}, "tools[1].name", "invalid_value"),
        ({"tool_choice": "x"}, "tool_choice", "invalid_value"),
        ({"tool_choice": "required"}, "tool_choice", None),
        ({"tools": [TOOL], "tool_choice": {"type": "mcp"}}, "tool_choice", None),
        ({"stream_options": {"include_usage": True}}, "stream_options.include_usage",
         "unknown_parameter"),
        ({"stream_options": {}}, "stream_options", None),
        ({"moderation": {}}, "moderation", "unsupported_parameter"),
        ({"context_management": [{"type": "compaction"}]}, "context_management",
         "unsupported_parameter"),
        ({"previous_response_id": "x"}, "previous_response_id", "invalid_value"),
        ({"text": {"format": {"type": "json_object"}}}, "input", None),
    ],
)  # fmt: skip
def test_the_first_fault_is_reported(fields, param, code):
    found = fault(**fields)
    assert (found.param, found.code, found.status) == (param, code, 400)


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"input": None}, "input", "expected a string, but got an object instead."),
        ({"input": [{"type": 7}]}, "input[0]",
         "Invalid value: ''. Supported values are: 'additional_tools', 'agent_message'"),
        ({"input": [{"role": 7, "content": "Hi"}]}, "input[0]",
         "Invalid value: ''. Supported values are: 'assistant'"),
        ({"input": [part("zzz")]}, "input[0].content[0].type",
         "'summary_text', and 'encrypted_content'."),
        ({"input": [part("output_text")]}, "input[0].content[0]",
         "'input_file', 'scoped_content', and 'input_audio'."),
        ({"input": [part("input_audio")]}, "input[0].content[0].type",
         "input_audio is only supported by certain models."),
        ({"input": [{"type": "function_call_output", "call_id": "a",
                     "output": [{"type": "output_text", "text": ""}]}]}, "input[0].output[0]",
         "'input_text', 'input_image', 'input_file', and 'scoped_content'."),
        ({"include": "x"}, "include", "'cod...uts', 'rea...ent', or 'mes...obs', but got"),
        ({"include": ["x"]}, "include[0]", "and 'message.output_text.logprobs'."),
        ({"reasoning": {"effort": "x"}}, "reasoning.effort", "'high', 'xhigh', and 'max'."),
        ({"reasoning": {"effort": 5}}, "reasoning.effort",
         "expected one of 'minimal', 'low', 'medium', or 'high', but got an integer"),
        ({"reasoning": {"effort": []}}, "reasoning.effort",
         "expected one of one of 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', or 'max' "
         "or integer, but got an array instead."),
        ({"reasoning": {"summary": "x"}}, "reasoning.summary", "'concise', 'detailed', and 'auto'"),
        ({"reasoning": {"generate_summary": "auto"}}, "reasoning.generate_summary", "Unknown"),
        ({"tool_choice": 7, "metadata": 7}, "tool_choice", "Invalid type"),
    ],
)  # fmt: skip
def test_faults_have_the_words_that_others_saw(fields, param, message):
    found = fault(**fields)
    assert found.param == param
    assert message in found.message


def test_there_are_33_kinds_of_items():
    assert len(set(ITEM_TYPES)) == len(ITEM_TYPES) == 33
    assert sorted(ITEM_TYPES) == [*ITEM_TYPES]


def test_the_greatest_effort_is_that_of_chat_completions():
    asked = request(OPEN, reasoning={"effort": "max"})
    assert asked.reasoning_effort == "xhigh"
    assert asked.settings["reasoning"] == {"effort": "max", "summary": None}


def test_missing_fields_come_first():
    for body, param in (({"zzz": 1}, "model"), ({"model": 7, "zzz": 1}, "input")):
        with pytest.raises(InvalidRequest) as raised:
            read(body, LIMITS)
        assert raised.value.param == param
    with pytest.raises(InvalidRequest, match="moved to 'input'"):
        read({"model": "gpt-4.1-mini", "messages": []}, LIMITS)


@pytest.mark.parametrize("model", [None, 7])
def test_a_null_at_the_top_is_called_an_object(model):
    kind = "an object" if model is None else "an integer"
    assert f"expected a string, but got {kind} instead" in fault(model=model).message


@pytest.mark.parametrize(
    ("item", "param", "code"),
    [
        ({"role": "user"}, "input[0].content", "missing_required_parameter"),
        ({"role": "user", "content": "x", "bogus": 1}, "input[0].bogus", "unknown_parameter"),
        ({"role": "user", "content": "x", "phase": "commentary"}, "input[0].phase",
         "unknown_parameter"),
        ({"role": "user", "content": [{"type": "text", "text": "x"}]}, "input[0].content[0].type",
         "invalid_value"),
        ({"role": "user", "content": [{"type": "output_text", "text": "x"}]},
         "input[0].content[0]", "invalid_value"),
        ({"role": "assistant", "content": [{"type": "input_text", "text": "x"}]},
         "input[0].content[0]", "invalid_value"),
        ({"role": "user", "content": [{"type": "input_text"}]}, "input[0].content[0].text",
         "missing_required_parameter"),
        ({"role": "user", "content": [{"type": "input_image", "image_url": "x"}]},
         "input[0].content[0].type", None),
        ({"role": "user", "content": "x", "id": "call_a"}, "input[0].id", "invalid_value"),
        (CALL | {"id": "call_a"}, "input[0].id", "invalid_value"),
        ({"type": "mcp_call"}, "input[0]", "invalid_value"),
        ("x", "input[0]", "invalid_type"),
        (CALL, "input", None),
        (OUTPUT, "input", None),
    ],
)  # fmt: skip
def test_faults_of_items(item, param, code):
    found = fault(input=[item])
    assert (found.param, found.code) == (param, code)


def test_the_words_of_pairs_and_ids():
    assert fault(input=[CALL]).message == "No tool output found for function call c1."
    assert fault(input=[OUTPUT]).message == (
        "No tool call found for function call output with call_id c1."
    )
    bad = fault(input=[{"role": "user", "content": "x"}, CALL | {"id": "call_a"}, OUTPUT])
    assert bad.message == "Invalid 'input[1].id': 'call_a'. Expected an ID that begins with 'fc'."
    twice = {"role": "user", "content": "x", "id": "msg_1"}
    assert fault(input=[twice, twice]).message.startswith("Duplicate item found with id msg_1.")


def test_calls_and_outputs_pair_in_any_order():
    assert request(input=[OUTPUT, CALL]).messages == request(input=[CALL, OUTPUT]).messages


def test_a_context_counts_for_pairs_and_for_the_word():
    body = read(ASK | {"input": [OUTPUT]}, LIMITS)
    assert [m["role"] for m in body.with_context([CALL], body.input).messages] == [
        "assistant",
        "tool",
    ]
    word = [{"type": "message", "role": "user", "content": "JSON please"}]
    wants = {"text": {"format": {"type": "json_object"}}}
    body = read(ASK | wants, LIMITS)
    assert body.with_context(word, body.input).response_format == {"type": "json_object"}


def test_instructions_do_not_have_the_word():
    found = fault(text={"format": {"type": "json_object"}}, instructions="json")
    assert "must contain the word 'json'" in found.message


def test_log_probabilities_need_the_include():
    assert "top_logprobs" not in request(top_logprobs=3).sampling
    asked = request(top_logprobs=3, include=["message.output_text.logprobs"])
    assert asked.sampling["top_logprobs"] == 3


def test_extensions_open_what_codex_sends():
    sent = {
        "reasoning": {"summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "client_metadata": {"a": "b"},
        "seed": 3,
    }
    assert request(OPEN, **sent).sampling == {"seed": 3}
    assert fault(seed=3).code == "unknown_parameter"


def test_truncation_drops_whole_turns_and_keeps_instructions():
    items = [
        {"role": "user", "content": "one"},
        CALL,
        OUTPUT,
        {"role": "user", "content": "last"},
    ]
    asked = request(input=items, instructions="Be brief.", truncation="auto")
    assert asked.droppable == 2
    shorter = asked.without_oldest(1)
    assert [m["role"] for m in shorter.messages] == ["developer", "assistant", "tool", "user"]
    assert request(input=items).droppable == 0
