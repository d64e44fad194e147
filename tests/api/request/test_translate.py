"""Cases written from the rules: what is let through, and the one fault that each other body gets.

`valid.jsonl` and `faults.jsonl` beside this file hold one change of a plain request a line.
"""

import json
from pathlib import Path

import httpx
import pytest

from minikin.api.request.translate import Limits, translate
from minikin.errors import InvalidRequest, NotFound

LIMITS = Limits(models=frozenset({"gpt-4.1-mini", "tiny"}))
USER = {"role": "user", "content": "Hi"}
ASK = {"model": "gpt-4.1-mini", "messages": [USER]}
TOOL = {"type": "function", "function": {"name": "f"}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}


def cases(name):
    lines = (Path(__file__).parent / name).read_text().splitlines()
    return [json.loads(line) for line in lines]


def body_of(case):
    body = {**ASK, **case.get("with", {})}
    body.pop(case.get("without"), None)
    return body


def fault(limits=LIMITS, **changes):
    with pytest.raises(InvalidRequest) as raised:
        translate({**ASK, **changes}, limits)
    return raised.value


@pytest.mark.parametrize("change", cases("valid.jsonl"), ids=json.dumps)
def test_valid_values_are_accepted(change):
    assert translate({**ASK, **change}, LIMITS).model in LIMITS.models


@pytest.mark.parametrize("case", cases("faults.jsonl"), ids=lambda case: case["message"][:60])
def test_each_error_has_openais_words(case):
    with pytest.raises(InvalidRequest) as raised:
        translate(body_of(case), LIMITS)
    error = raised.value
    assert (error.message, error.param, error.code) == (
        case["message"],
        case["param"],
        case["code"],
    )
    assert (error.status, error.type) == (400, "invalid_request_error")


def test_the_faults_are_the_same_over_http(shared_server):
    with httpx.Client(base_url=shared_server.url) as client:
        for case in cases("faults.jsonl"):
            answer = client.post("/v1/chat/completions", json=body_of(case) | {"stream": True})
            if "stream" in case.get("with", {}) or "stream_options" in case.get("with", {}):
                answer = client.post("/v1/chat/completions", json=body_of(case))
            assert answer.status_code == 400
            assert answer.headers["content-type"] == "application/json"
            expected = {name: case[name] for name in ("message", "param", "code")}
            assert answer.json() == {"error": {**expected, "type": "invalid_request_error"}}


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        (
            {"logit_bias": {str(i): 0 for i in range(1025)}},
            "logit_bias",
            "object_above_max_properties",
        ),
        ({"tools": [TOOL] * 129}, "tools", "array_above_max_length"),
        ({"messages": [USER] * 2049}, "messages", "array_above_max_length"),
        (
            {"messages": [{**USER, "content": [{}] * 1025}]},
            "messages[0].content",
            "array_above_max_length",
        ),
        ({"stop": "x" * 65_537}, "stop", "string_above_max_length"),
        ({"user": "x" * 1025}, "user", "string_above_max_length"),
    ],
)
def test_a_value_that_is_too_large_is_an_error(change, param, code):
    error = fault(**change)
    assert (error.param, error.code) == (param, code)


def test_a_stop_text_may_be_long():
    assert translate({**ASK, "stop": "x" * 10_000}, LIMITS).sampling["stop"] == ("x" * 10_000,)


@pytest.mark.parametrize("other", [{"messages": None}, {"stop": 1}, {"n": 0}, {"nonsense": 1}])
def test_the_model_comes_before_everything(other):
    with pytest.raises(NotFound) as raised:
        translate({**ASK, "model": "foo", **other}, LIMITS)
    assert (raised.value.status, raised.value.param) == (404, None)
    assert raised.value.code == "model_not_found"
    assert raised.value.message == "The model `foo` does not exist or you do not have access to it."
    assert fault(model="", **other).message == "you must provide a model parameter"


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "gpt-4.1-mini\0", "x" * 1_000_000, "\x1b[31m"]
)
def test_a_strange_model_name_is_echoed_short_and_harmless(name):
    with pytest.raises(NotFound) as raised:
        translate({**ASK, "model": name}, LIMITS)
    assert len(raised.value.message) < 400
    assert raised.value.message.isprintable()


EXTENDED = Limits(models=LIMITS.models, extensions=True)


def test_extensions_are_taken_where_they_are_switched_on():
    wanted = {"top_k": 40, "min_p": 0.05, "repetition_penalty": 1.1}
    assert translate({**ASK, **wanted}, EXTENDED).sampling == wanted
    nulls = dict.fromkeys(wanted)
    assert translate({**ASK, **nulls}, EXTENDED) == translate(ASK, EXTENDED)


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"top_k": 0}, "top_k", "integer_below_min_value"),
        ({"top_k": 10**30}, "top_k", "integer_above_max_value"),
        ({"top_k": 1.5}, "top_k", "invalid_type"),
        ({"min_p": 1.1}, "min_p", "decimal_above_max_value"),
        ({"min_p": -0.1}, "min_p", "decimal_below_min_value"),
        ({"repetition_penalty": 0}, "repetition_penalty", "decimal_below_min_value"),
        ({"repetition_penalty": "1"}, "repetition_penalty", "invalid_type"),
        ({"typical_p": 1}, None, None),
    ],
)
def test_extensions_have_rules_too(change, param, code):
    error = fault(EXTENDED, **change)
    assert (error.param, error.code) == (param, code)


USER, BEGUN = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "We"}
CALLED = {"role": "assistant", "content": "We", "function_call": {"name": "f", "arguments": ""}}
PARTS = {"role": "assistant", "content": [{"type": "text", "text": t} for t in ("W", "e")]}
TOOL = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize("last", [BEGUN, PARTS])
def test_an_answer_can_continue_a_text(last):
    asked = {**ASK, "messages": [USER, last], "continue_final_message": True}
    assert translate(asked, EXTENDED).beginning == "We"
    assert fault(**asked).message.startswith("Unrecognized request argument")


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": [USER]}, "messages"),
        ({"messages": [BEGUN]}, "messages"),
        ({"messages": [USER, {**BEGUN, "content": ""}]}, "messages"),
        ({"messages": [USER, CALLED]}, "messages"),
        ({"tools": [TOOL]}, "tools"),
        ({"functions": [TOOL["function"]]}, "functions"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"continue_final_message": "yes"}, "continue_final_message"),
    ],
)
def test_an_answer_continues_nothing_else(change, param):
    asked = {"messages": [{**USER, "content": "JSON"}, BEGUN], "continue_final_message": True}
    assert fault(EXTENDED, **{**asked, **change}).param == param


def test_several_unknown_arguments_are_one_error():
    error = fault(top_k=1, min_p=0)
    assert error.message == "Unrecognized request arguments supplied: top_k, min_p"


def test_two_limits_at_once_are_one_too_many():
    error = fault(max_tokens=1, max_completion_tokens=1)
    assert (error.param, error.code) == ("max_tokens", "invalid_parameter_combination")
    assert (
        translate({**ASK, "max_tokens": None, "max_completion_tokens": 5}, LIMITS).max_tokens == 5
    )


def test_a_server_may_take_fewer_choices():
    limits = Limits(models=LIMITS.models, max_choices=4)
    assert translate({**ASK, "n": 4}, limits).n == 4
    error = fault(limits, n=5)
    assert (error.param, error.code) == ("n", "integer_above_max_value")
    assert "<= 4, but got 5" in error.message


@pytest.mark.parametrize(
    "clash",
    [
        {"n": 2},
        {"logprobs": True},
        {"presence_penalty": 1},
        {"frequency_penalty": 0.5},
        {"max_completion_tokens": 5},
        {"tools": [TOOL]},
    ],
)
def test_a_prediction_stands_alone(clash):
    error = fault(prediction={"type": "content", "content": "x"}, **clash)
    assert (error.param, error.code) == (next(iter(clash)), "invalid_parameter_combination")


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function", "function": {"name": "g"}},
        {
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "auto",
                "tools": [{"type": "function", "function": {"name": "g"}}],
            },
        },
    ],
)
def test_a_tool_that_is_chosen_must_be_there(choice):
    error = fault(tools=[TOOL], tool_choice=choice)
    assert (error.param, error.code) == ("tool_choice", None)
    assert "'g'" in error.message


@pytest.mark.parametrize("content", ["as Json", [{"type": "text", "text": "in JSON."}]])
def test_the_word_json_may_stand_anywhere_in_any_case(content):
    messages = [{"role": "system", "content": content}]
    wanted = {"type": "json_object"}
    request = translate(ASK | {"messages": messages, "response_format": wanted}, LIMITS)
    assert request.response_format == wanted


@pytest.mark.parametrize("feature", [{"moderation": {}}])
def test_an_unsupported_feature_is_rejected_and_never_ignored(feature):
    error = fault(**feature)
    assert (error.param, error.code) == (next(iter(feature)), "unsupported_parameter")


def test_functions_are_tools_of_which_an_answer_calls_one():
    request = translate(
        {**ASK, "functions": [{"name": "f"}], "function_call": {"name": "f"}}, LIMITS
    )
    assert request.tools == [TOOL]
    assert request.tool_choice == {"type": "function", "function": {"name": "f"}}
    assert request.parallel_tool_calls is False
    assert request.legacy_calls
    assert translate({**ASK, "functions": [{"name": "f"}]}, LIMITS).tool_choice == "auto"


def test_null_is_as_good_as_absent():
    nulls = {k: v for change in cases("valid.jsonl") for k, v in change.items() if v is None}
    assert len(nulls) > 20
    assert translate({**ASK, **nulls}, LIMITS) == translate(ASK, LIMITS)
