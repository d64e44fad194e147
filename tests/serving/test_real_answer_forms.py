"""Structured answers and tool calls of the default model, through the real client."""

from __future__ import annotations

import asyncio
import json
from typing import Literal

import openai
import pytest
from pydantic import BaseModel

from tests.constrain.schemas import SCHEMAS
from tests.constrain.walk import check
from tests.real_model import default_model, real_server

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

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


async def test_every_schemas_answer_is_valid(server):
    """Side by side at temperature 1; an answer cut off by the limit need not be."""
    places = asyncio.Semaphore(32)
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="any") as client:

        async def answer(schema):
            wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
            async with places:
                said = await client.chat.completions.create(
                    model=MODEL, messages=QUESTION, response_format=wanted, max_tokens=40, seed=1
                )
            return said.choices[0]

        choices = await asyncio.gather(*(answer(schema) for _, schema in SCHEMAS))
    ended = 0
    for (_, schema), choice in zip(SCHEMAS, choices, strict=True):
        if choice.finish_reason == "stop":
            check(json.loads(choice.message.content), schema)
            ended += 1
    assert ended > 0.7 * len(SCHEMAS)


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
