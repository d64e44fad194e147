"""The real `openai` client, as users' code calls it, sync and async."""

import asyncio
import inspect
import time

import httpx
import openai
import pytest

from minikin.config import ORIGINAL, SNAPSHOT
from minikin.errors import EngineFailure
from tests.fakes import ScriptedEngine
from tests.patience import until

ASK = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Hi"}]}
EVERYTHING = {
    "messages": [
        {"role": "developer", "content": "Be brief.", "name": "boss"},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
    ],
    "model": "gpt-4.1-mini",
    "temperature": 0.2,
    "top_p": 0.9,
    "n": 2,
    "seed": 5,
    "stop": ["!"],
    "max_completion_tokens": 10,
    "frequency_penalty": 0.5,
    "presence_penalty": -0.5,
    "logit_bias": {"100": -100},
    "logprobs": True,
    "top_logprobs": 3,
    "response_format": {"type": "text"},
    "modalities": ["text"],
    "service_tier": "auto",
    "store": True,
    "metadata": {"a": "b"},
    "user": "me",
    "safety_identifier": "me",
    "prompt_cache_key": "k",
    "verbosity": "medium",
}
TOOL = {"type": "function", "function": {"name": "f"}}
THE_REST = {
    **ASK,
    "max_tokens": 10,
    "stream_options": {"include_usage": True},
    "stream": True,
    "tools": [TOOL],
    "tool_choice": "none",
    "parallel_tool_calls": False,
    "audio": {"format": "mp3", "voice": "alloy"},
    "prompt_cache_retention": "24h",
    "prompt_cache_options": {"mode": "implicit"},
    "timeout": 9,
    "extra_headers": {"x-mine": "1"},
    "extra_query": {"a": "b"},
    "extra_body": None,
}
"""What does not go together with all of EVERYTHING."""
LEGACY = {**ASK, "functions": [TOOL["function"]], "function_call": "none"}
PREDICTED = {**ASK, "prediction": {"type": "content", "content": "Hello there!"}}
REFUSED = [
    ({"reasoning_effort": "low"}, None, None),
    ({"web_search_options": {}}, "web_search_options", None),
    ({"moderation": {"model": "x"}}, "moderation", "unsupported_parameter"),
]
ERRORS = [
    *((change, openai.BadRequestError, param, code) for change, param, code in REFUSED),
    ({"temperature": 3}, openai.BadRequestError, "temperature", "decimal_above_max_value"),
    ({"n": 0}, openai.BadRequestError, "n", "integer_below_min_value"),
    ({"messages": []}, openai.BadRequestError, "messages", "empty_array"),
    ({"model": "gpt-9"}, openai.NotFoundError, None, "model_not_found"),
    ({"top_logprobs": 1}, openai.BadRequestError, "top_logprobs", None),
    ({"extra_body": {"top_k": 5}}, openai.BadRequestError, None, None),
    ({"max_tokens": 100_000}, openai.BadRequestError, "max_tokens", "invalid_value"),
    ({"max_tokens": 10**9}, openai.BadRequestError, "messages", "context_length_exceeded"),
]


def client_of(server, kind=openai.OpenAI, **options):
    return kind(**{"base_url": f"{server.url}/v1", "api_key": "x", "max_retries": 0, **options})


@pytest.fixture(scope="module")
def client(shared_server):
    with client_of(shared_server) as client:
        yield client


@pytest.fixture
async def async_client(shared_server):
    async with client_of(shared_server, openai.AsyncOpenAI) as client:
        yield client


def check(answer):
    assert [choice.message.content for choice in answer.choices] == ["Hello there"] * 2
    assert [choice.finish_reason for choice in answer.choices] == ["stop"] * 2
    assert [len(choice.logprobs.content) for choice in answer.choices] == [3, 3]
    assert answer.usage.completion_tokens == 8
    assert answer.service_tier == "default"


def test_every_parameter(client):
    check(client.chat.completions.create(**EVERYTHING))


async def test_every_parameter_async(async_client):
    check(await async_client.chat.completions.create(**EVERYTHING))


def test_no_parameter_of_the_client_is_left_out(client):
    named = set(inspect.signature(client.chat.completions.create).parameters)
    driven = EVERYTHING | THE_REST | LEGACY | PREDICTED
    assert named == {*driven, *(name for change, _, _ in REFUSED for name in change)}


def check_rest(chunks):
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 5
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks[:-1]]
    assert "".join(texts) == "Hello there!"


def test_the_other_parameters(client):
    check_rest(list(client.chat.completions.create(**THE_REST)))
    for changed in (PREDICTED, LEGACY):
        answer = client.chat.completions.create(**changed)
        assert answer.choices[0].message.content == "Hello there!"


async def test_the_other_parameters_async(async_client):
    stream = await async_client.chat.completions.create(**THE_REST)
    check_rest([chunk async for chunk in stream])
    for changed in (PREDICTED, LEGACY):
        answer = await async_client.chat.completions.create(**changed)
        assert answer.choices[0].message.content == "Hello there!"


def test_every_parameter_streamed_and_gathered(client):
    with client.chat.completions.stream(**EVERYTHING) as stream:
        kinds = {event.type for event in stream}
        check_streamed(stream.get_final_completion())
    assert {"content.delta", "content.done", "logprobs.content.delta"} <= kinds


async def test_every_parameter_streamed_and_gathered_async(async_client):
    async with async_client.chat.completions.stream(**EVERYTHING) as stream:
        check_streamed(await stream.get_final_completion())


def check_streamed(answer):
    assert [choice.message.content for choice in answer.choices] == ["Hello there"] * 2
    assert [len(choice.logprobs.content) for choice in answer.choices] == [3, 3]


@pytest.mark.parametrize(("change", "kind", "param", "code"), ERRORS)
def test_errors_are_the_clients_own(client, change, kind, param, code):
    for stream in (True, False):
        with pytest.raises(kind) as raised:
            client.chat.completions.create(**{**ASK, **change}, stream=stream)
        assert (raised.value.param, raised.value.code) == (param, code)
        assert raised.value.type == "invalid_request_error"
        assert raised.value.request_id.startswith("req_")


@pytest.mark.parametrize(("change", "kind", "param", "code"), ERRORS)
async def test_errors_are_the_async_clients_own(async_client, change, kind, param, code):
    with pytest.raises(kind) as raised:
        await async_client.chat.completions.create(**{**ASK, **change})
    assert (raised.value.param, raised.value.code) == (param, code)


def test_a_wrong_key_is_an_authentication_error(serve):
    server = serve(api_keys=("right",))
    with client_of(server, api_key="right") as client:
        assert client.models.list().data[0].id == "tiny"
    with client_of(server, api_key="wrong") as client:
        with pytest.raises(openai.AuthenticationError) as raised:
            client.chat.completions.create(**ASK)
        assert (raised.value.status_code, raised.value.code) == (401, "invalid_api_key")


def test_models(client):
    assert [model.id for model in client.models.list()] == ["tiny", ORIGINAL, SNAPSHOT]
    assert client.models.retrieve("gpt-4.1-mini").object == "model"
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("gpt-9")
    assert (raised.value.param, raised.value.code) == ("model", "model_not_found")


def test_raw_and_streaming_responses(client):
    raw = client.chat.completions.with_raw_response.create(**ASK)
    answer = raw.parse()
    assert answer.choices[0].message.content == "Hello there!"
    assert answer._request_id == raw.request_id == raw.headers["x-request-id"]
    assert raw.headers["openai-version"] == "2020-10-01"
    assert int(raw.headers["openai-processing-ms"]) >= 0
    assert raw.headers["x-ratelimit-limit-requests"] == "256"
    assert raw.headers["content-type"] == "application/json"
    assert (raw.status_code, raw.retries_taken) == (200, 0)
    with client.chat.completions.with_streaming_response.create(**ASK, stream=True) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert list(response.iter_lines())[-2] == "data: [DONE]"


def test_a_timeout_is_the_clients_and_frees_the_place(serve):
    server = serve(ScriptedEngine(pause=30))
    with client_of(server, timeout=2) as client, pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(**ASK)
    until(lambda: server.service.in_flight == 0)
    assert len(server.engine.cancelled) == 1


async def test_raw_responses_async(async_client):
    raw = await async_client.chat.completions.with_raw_response.create(**ASK)
    assert raw.request_id.startswith("req_")
    assert raw.parse().choices[0].message.content == "Hello there!"


def test_a_server_that_is_full_is_an_internal_error_to_try_again(serve):
    server = serve(max_queued=0)
    with client_of(server) as client, pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(**ASK)
    assert (raised.value.status_code, raised.value.code) == (503, "server_is_overloaded")
    assert int(raised.value.response.headers["retry-after"]) in (1, 2), "spread at random"
    begun = time.monotonic()
    with client_of(server, max_retries=1) as client, pytest.raises(openai.InternalServerError):
        client.chat.completions.create(**ASK)
    assert time.monotonic() - begun >= 1, "it waits as long as it is told to"


def test_a_bug_of_the_server_is_an_internal_error(serve):
    server = serve(ScriptedEngine(fail_after=0, failure=EngineFailure("It died.")))
    with client_of(server) as client, pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(**ASK)
    assert (raised.value.status_code, raised.value.type) == (500, "server_error")


def test_an_unreachable_server_is_a_connection_error():
    nobody = openai.OpenAI(base_url="http://127.0.0.1:9/v1", api_key="x", max_retries=0)
    with nobody as client, pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(**ASK)


def test_a_server_still_loading_is_tried_again(serve):
    engine = ScriptedEngine(is_ready=False)
    server = serve(engine, load_seconds=0)

    async def ask_while_it_loads():
        async with client_of(server, openai.AsyncOpenAI, max_retries=4) as client:
            asked = asyncio.create_task(client.chat.completions.create(**ASK))
            await asyncio.sleep(0.3)
            engine.is_ready = True
            return await asked

    answer = asyncio.run(ask_while_it_loads())
    assert answer.choices[0].message.content == "Hello there!"


def test_extensions_go_where_they_are_switched_on(serve):
    server = serve(extensions=True)
    with client_of(server) as client:
        client.chat.completions.create(**ASK, extra_body={"top_k": 5, "repetition_penalty": 1.2})
    (request,) = server.engine.requests
    assert (request.params.top_k, request.params.repetition_penalty) == (5, 1.2)


def test_token_ids_go_both_ways(shared_server):
    made = httpx.post(f"{shared_server.url}/tokenize", json={"text": "é<|im_end|>"}).json()
    assert made["ids"] == list("é<|im_end|>".encode())
    assert made["tokens"][:3] == ["\\xc3", "\\xa9", "<"]
    back = httpx.post(f"{shared_server.url}/detokenize", json={"ids": made["ids"]}).json()
    assert back == {"text": "é<|im_end|>"}


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("tokenize", {}, "text"),
        ("tokenize", {"text": 1}, "text"),
        ("tokenize", {"text": "", "x": 1}, "x"),
        ("detokenize", {"ids": [-1]}, "ids[0]"),
        ("detokenize", {"ids": [16_384]}, "ids[0]"),
        ("detokenize", {"ids": "1"}, "ids"),
        ("detokenize", [], None),
    ],
)
def test_bad_token_requests_are_errors(shared_server, path, body, param):
    answer = httpx.post(f"{shared_server.url}/{path}", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
