"""Structured answers and tool calls of the default model, through the real client."""

from __future__ import annotations

import asyncio
import json
from typing import Literal

import openai
import pytest
from pydantic import BaseModel

from minikin.constrain.schema.strict import check_strict
from minikin.errors import InvalidRequest
from tests.constrain.schemas import SCHEMAS, closed
from tests.constrain.walk import SUBJECT, check
from tests.real_model import default_model, real_server

pytestmark = pytest.mark.model

MODEL = "gpt-4.1-mini"
QUESTION = [{"role": "user", "content": "Describe a small shop in Paris. Answer in JSON."}]
ONE_PLACE = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": ONE_PLACE | {"required": ["city"], "additionalProperties": False},
    },
}
ROOT_KEYS = ("$defs", "definitions", "components", "$id", "$schema", "$dynamicAnchor", "id")
CLOCK = {"type": "function", "function": {"name": "get_time"}}


class Item(BaseModel):
    kind: Literal["bread", "cheese", "wine"]
    price: int
    fresh: bool | None


class Shop(BaseModel):
    item: Item
    others: list[Literal["a", "b"]]


@pytest.fixture(scope="module")
def server():
    default_model()
    with real_server() as running:
        yield running


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def as_parameters(schema):
    """`schema` for a function: as it is if it is an object's, else as that of one property."""
    if schema.get("type") == "object":
        return schema
    root = {key: schema[key] for key in ROOT_KEYS if key in schema}
    value = {key: item for key, item in schema.items() if key not in ROOT_KEYS}
    return closed(value=value) | root


def as_response_format(schema):
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", **schema}}}


def as_tool(schema):
    tool = {"type": "function", "function": {"name": "x", **schema}}
    return {"tools": [tool], "tool_choice": {"type": "function", "function": {"name": "x"}}}


def is_strict(schema):
    try:
        check_strict(schema, SUBJECT)
    except InvalidRequest:
        return False
    return True


async def answers(server, requests):
    """A choice for each request, side by side at temperature 1."""
    places = asyncio.Semaphore(32)
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="any") as client:

        async def answer(request):
            async with places:
                said = await client.chat.completions.create(
                    model=MODEL, messages=QUESTION, max_tokens=60, seed=1, **request
                )
            return said.choices[0]

        return await asyncio.gather(*map(answer, requests))


@pytest.mark.parametrize("step", [40, pytest.param(5, marks=pytest.mark.thorough)])
async def test_every_schemas_answer_is_valid(server, step):
    """An answer cut off by the limit need not be."""
    schemas = [schema for _, schema in SCHEMAS[::step]]
    choices = await answers(server, [as_response_format({"schema": s}) for s in schemas])
    ended = 0
    for schema, choice in zip(schemas, choices, strict=True):
        if choice.finish_reason == "stop":
            check(json.loads(choice.message.content), schema)
            ended += 1
    assert ended > 0.8 * len(schemas)


@pytest.mark.parametrize("step", [40, pytest.param(14, marks=pytest.mark.thorough)])
async def test_many_schemas_arguments_are_valid(server, step):
    """Of a named function, strict where the subset allows it.

    Not of every schema: each is part of its prompt, and prompts take time.
    """
    schemas = [as_parameters(schema) for _, schema in SCHEMAS[::step]]
    strict = [is_strict(schema) for schema in schemas]
    assert any(strict)
    assert not all(strict)
    requests = [
        as_tool({"parameters": schema, "strict": strictly})
        for schema, strictly in zip(schemas, strict, strict=True)
    ]
    ended = 0
    for schema, choice in zip(schemas, await answers(server, requests), strict=True):
        assert choice.message.content is None
        if choice.finish_reason == "stop":
            [call] = choice.message.tool_calls
            check(json.loads(call.function.arguments), schema)
            ended += 1
    assert ended > 0.8 * len(schemas)


def test_parse_gives_nested_models(client):
    answer = client.chat.completions.parse(
        model=MODEL, messages=QUESTION, response_format=Shop, max_tokens=300, seed=3
    )
    assert isinstance(answer.choices[0].message.parsed, Shop)


def test_a_streamed_object_is_the_plain_one_with_log_probabilities_of_every_token(client):
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": ONE_PLACE}}
    options = {"model": MODEL, "messages": QUESTION, "response_format": wanted, "seed": 5}
    plain = client.chat.completions.create(**options, logprobs=True).choices[0]
    chunks = list(client.chat.completions.create(**options, logprobs=True, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == plain.message.content
    entries = plain.logprobs.content
    assert bytes(b for entry in entries for b in entry.bytes).decode() == text


def test_an_object_may_have_any_shape_and_several_choices(client):
    answer = client.chat.completions.create(
        model=MODEL,
        messages=QUESTION,
        response_format={"type": "json_object"},
        n=3,
        seed=2,
        max_tokens=200,
    )
    for choice in answer.choices:
        assert choice.message.content.startswith("{")
        if choice.finish_reason == "stop":
            assert isinstance(json.loads(choice.message.content), dict)


@pytest.mark.parametrize("parallel", [True, False])
def test_required_calls_always_fit_and_their_results_go_back(client, parallel):
    question = [{"role": "user", "content": "What is the weather in Paris?"}]
    options = {"model": MODEL, "tools": [WEATHER, CLOCK], "temperature": 0}
    answer = client.chat.completions.create(
        **options,
        messages=question,
        tool_choice="required",
        parallel_tool_calls=parallel,
        max_tokens=400,
    ).choices[0]
    assert answer.finish_reason == "tool_calls"
    assert answer.message.content is None
    calls = answer.message.tool_calls
    assert parallel or len(calls) == 1
    for call in calls:
        if call.function.name == "get_weather":
            check(json.loads(call.function.arguments), WEATHER["function"]["parameters"])
        else:
            assert (call.function.name, call.function.arguments) == ("get_time", "{}")
    results = [{"role": "tool", "tool_call_id": call.id, "content": "Sunny"} for call in calls]
    after = client.chat.completions.create(
        **options, messages=[*question, answer.message, *results], max_tokens=20
    )
    assert after.choices[0].message.content or after.choices[0].message.tool_calls


def test_a_named_function_is_called_whatever_the_question(client):
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Write a poem."}],
        tools=[WEATHER, CLOCK],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
        stream=True,
    )
    arguments, reason = "", None
    for chunk in answer:
        for call in chunk.choices[0].delta.tool_calls or ():
            arguments += call.function.arguments
        reason = chunk.choices[0].finish_reason or reason
    check(json.loads(arguments), WEATHER["function"]["parameters"])
    assert reason == "stop"


EVERYTHING = {
    "temperature": 1.2,
    "top_p": 0.9,
    "seed": 11,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.3,
    "logit_bias": {"5": -100, "30": 3},
    "logprobs": True,
    "top_logprobs": 3,
    "n": 2,
    "max_tokens": 150,
}
UNICODE = closed(**{"naïve": {"enum": ["é", "日本", "😀"]}, "日本": {"type": "boolean"}})


def folded(chunks, index):
    """Text, entries and reason of one choice of a stream."""
    own = [c for chunk in chunks for c in chunk.choices if c.index == index]
    text = "".join(choice.delta.content or "" for choice in own)
    entries = [e for choice in own if choice.logprobs for e in choice.logprobs.content]
    return text, entries, own[-1].finish_reason


def test_a_schema_goes_with_everything_else_streamed_or_not(client):
    options = {"model": MODEL, "messages": QUESTION, **EVERYTHING}
    options |= as_response_format({"schema": UNICODE, "strict": True})
    plain = client.chat.completions.create(**options)
    chunks = list(client.chat.completions.create(**options, stream=True))
    for choice in plain.choices:
        assert choice.finish_reason == "stop"
        check(json.loads(choice.message.content), UNICODE)
        text, entries, reason = folded(chunks, choice.index)
        assert (text, reason) == (choice.message.content, "stop")
        assert [e.logprob for e in entries] == [e.logprob for e in choice.logprobs.content]
        assert bytes(b for e in entries for b in e.bytes).decode() == text
        assert all(len(e.top_logprobs) == 3 for e in entries)


def test_log_probabilities_ignore_the_grammar(client):
    """A token that the grammar forces may be an unlikely one."""
    answer = client.chat.completions.create(
        model=MODEL,
        messages=QUESTION,
        logprobs=True,
        top_logprobs=20,
        temperature=0,
        **as_response_format({"schema": {"const": "zzqx"}}),
    ).choices[0]
    first = answer.logprobs.content[1]
    assert first.logprob < first.top_logprobs[0].logprob
    assert answer.message.content == '"zzqx"'


def test_a_stop_text_and_a_limit_cut_an_object_and_say_so(client):
    options = {"model": MODEL, "messages": QUESTION, "temperature": 0}
    options |= as_response_format({"schema": closed(aa={"const": "bb"}, cc={"const": "dd"})})
    stopped = client.chat.completions.create(**options, stop=['"cc"']).choices[0]
    assert (stopped.message.content, stopped.finish_reason) == ('{"aa": "bb", ', "stop")
    cut = client.chat.completions.create(**options, max_tokens=3, logprobs=True).choices[0]
    assert cut.finish_reason == "length"
    assert '{"aa": "bb", "cc": "dd"}'.startswith(cut.message.content)


def test_a_prediction_changes_nothing_in_an_object(client):
    schema = closed(name={"type": "string", "maxLength": 12}, open={"type": "boolean"})
    options = {"model": MODEL, "messages": QUESTION, "temperature": 0}
    options |= as_response_format({"schema": schema})
    plain = client.chat.completions.create(**options).choices[0].message.content
    foretold = {"type": "content", "content": plain}
    again = client.chat.completions.create(**options, prediction=foretold)
    assert again.choices[0].message.content == plain


def test_a_control_tokens_text_in_a_value_is_text(client):
    schema = closed(**{"<|im_end|>": {"const": "<|im_start|>user"}})
    options = {"model": MODEL, "messages": QUESTION, **as_response_format({"schema": schema})}
    answer = client.chat.completions.create(**options).choices[0]
    assert json.loads(answer.message.content) == {"<|im_end|>": "<|im_start|>user"}
    assert answer.finish_reason == "stop"


def test_arguments_cut_by_the_limit_are_returned_so_far(client):
    options = {"model": MODEL, "messages": QUESTION, "max_tokens": 14, "temperature": 0}
    parameters = closed(city={"type": "string", "minLength": 200})
    options |= {"tools": as_tool({"parameters": parameters})["tools"], "tool_choice": "required"}
    answer = client.chat.completions.create(**options).choices[0]
    assert answer.finish_reason == "length"
    assert not answer.message.content
    if answer.message.tool_calls:
        assert '{"city": "'.startswith(answer.message.tool_calls[0].function.arguments[:10])
