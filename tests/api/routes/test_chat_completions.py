import asyncio
import json
import socket
import time

import httpx
import openai
import pytest
from msgspec.structs import replace

from minikin.api.routes import event_stream
from minikin.errors import EngineFailure, Quarantined, StoreFailure
from tests.fakes import ByteTokenizer, ScriptedEngine, settings
from tests.openai_clients import client_of
from tests.patience import PATIENCE, until

ASK = {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": "Hi"}]}
CHUNK_KEYS = {
    "id",
    "object",
    "created",
    "model",
    "service_tier",
    "system_fingerprint",
    "choices",
    "obfuscation",
}


def post(server, **body):
    return httpx.post(f"{server.url}/v1/chat/completions", json={**ASK, **body})


def stream_of(server, **body):
    """The chunks of a raw stream, and its last data line."""
    lines = post(server, stream=True, **body).text.split("\n\n")
    data = [line.removeprefix("data: ") for line in lines if line]
    return [json.loads(line) for line in data[:-1]], data[-1]


def test_a_plain_answer_has_every_field(shared_server):
    answer = post(shared_server).json()
    assert answer.pop("id").startswith("chatcmpl-")
    assert abs(answer.pop("created") - time.time()) < 60
    assert answer == {
        "object": "chat.completion",
        "model": "gpt-4.1-mini-2025-04-14",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hello there!",
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 21,
            "completion_tokens": 5,
            "total_tokens": 26,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
    }


def test_a_stream_is_role_then_text_then_end_then_done(shared_server):
    chunks, last = stream_of(shared_server)
    assert last == "[DONE]"
    assert {frozenset(chunk) for chunk in chunks} == {frozenset(CHUNK_KEYS)}
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": "", "refusal": None}
    assert [delta["content"] for delta in deltas[1:-1]] == ["Hel", "lo", " there", "!"]
    assert deltas[-1] == {}
    finishes = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert finishes == [None] * 5 + ["stop"]
    for same in ("id", "created", "model", "system_fingerprint"):
        assert len({chunk[same] for chunk in chunks}) == 1
    assert all(len(chunk["obfuscation"]) <= 15 for chunk in chunks)


def test_usage_comes_last_when_asked_for_and_is_null_before(shared_server):
    options = {"include_usage": True, "include_obfuscation": False}
    chunks, _ = stream_of(shared_server, stream_options=options)
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * 6
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 5
    assert not any("obfuscation" in chunk for chunk in chunks)


def test_several_choices_interleave_and_count_the_prompt_once(shared_server):
    chunks, _ = stream_of(shared_server, n=3, stream_options={"include_usage": True})
    texts = {0: "", 1: "", 2: ""}
    for chunk in chunks[:-1]:
        (choice,) = chunk["choices"]
        texts[choice["index"]] += choice["delta"].get("content", "")
    assert texts == dict.fromkeys(range(3), "Hello there!")
    usage = post(shared_server, n=3).json()["usage"]
    assert usage == chunks[-1]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (21, 15)


def test_logprobs_are_the_tokens_of_the_text(shared_server):
    answer = post(shared_server, logprobs=True, top_logprobs=2).json()
    content = answer["choices"][0]["logprobs"]["content"]
    assert b"".join(bytes(entry["bytes"]) for entry in content) == b"Hello there!"
    assert [top["token"] for top in content[0]["top_logprobs"]] == ["Hel", "x"]
    chunks, _ = stream_of(shared_server, logprobs=True)
    first, *middle, last = [chunk["choices"][0]["logprobs"] for chunk in chunks]
    assert first == {"content": [], "refusal": None}
    assert [entry["content"][0]["token"] for entry in middle] == ["Hel", "lo", " there", "!"]
    assert middle[0]["content"][0]["top_logprobs"] == []
    assert last is None


def test_half_a_character_is_shown_escaped_and_whole_in_bytes(serve):
    engine = ScriptedEngine(tokens=["é"])
    answer = post(serve(engine), logprobs=True).json()
    assert answer["choices"][0]["logprobs"]["content"][0]["bytes"] == [0xC3, 0xA9]


def test_sampling_parameters_reach_the_engine(serve):
    server = serve()
    post(
        server,
        temperature=0,
        top_p=0.5,
        seed=-7,
        stop=["a", "b"],
        logit_bias={"12": -100},
        frequency_penalty=1.5,
        presence_penalty=-1,
        max_completion_tokens=3,
        n=2,
        logprobs=True,
        top_logprobs=4,
    )
    (request,) = server.engine.requests
    params = request.params
    assert (params.temperature, params.top_p, params.seed) == (0, 0.5, -7)
    assert (params.stop, params.logit_bias) == (("a", "b"), {12: -100.0})
    assert (params.frequency_penalty, params.presence_penalty) == (1.5, -1)
    assert (params.max_tokens, request.n, params.top_logprobs) == (3, 2, 4)


def test_without_a_limit_the_servers_own_applies_within_the_window(serve):
    server = serve(ScriptedEngine(window=30), default_max_tokens=20)
    post(server)
    assert server.engine.requests[0].params.max_tokens == 9
    server = serve(default_max_tokens=20)
    post(server)
    assert server.engine.requests[0].params.max_tokens == 20


def test_a_limit_up_to_the_originals_is_cut_to_what_the_window_leaves(serve):
    server = serve(ScriptedEngine(window=30))
    for asked, given in ((8, 8), (9, 9), (10, 9), (32_768, 9)):
        for name in ("max_tokens", "max_completion_tokens"):
            assert post(server, **{name: asked}).status_code == 200
            assert server.engine.requests[-1].params.max_tokens == given


def test_a_limit_above_openais_window_is_rejected(serve):
    server = serve(ScriptedEngine(window=30))
    fault = post(server, max_tokens=1_000_000_000)
    assert fault.status_code == 400
    assert fault.json()["error"] == {
        "message": "This model's maximum context length is 30 tokens. However, you requested "
        "1000000021 tokens (21 in the messages, 1000000000 in the completion). Please reduce the "
        "length of the messages or completion.",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }
    long = post(server, messages=[{"role": "user", "content": "x" * 100}])
    assert long.json()["error"]["code"] == "context_length_exceeded"
    assert "resulted in 119 tokens" in long.json()["error"]["message"]
    assert server.engine.requests == []


def test_a_prompt_that_cannot_fit_is_refused_unencoded(serve, monkeypatch):
    server = serve()
    encoded = []
    monkeypatch.setattr(ByteTokenizer, "encode", lambda self, text: encoded.append(text) or [])
    fault = post(server, messages=[{"role": "user", "content": "x" * 3_000_000}])
    assert sum(map(len, encoded)) < 1_000
    assert fault.json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize("stream", [True, False])
def test_a_disconnect_cancels_the_work(serve, stream):
    server = serve(ScriptedEngine(tokens=["a"] * 10_000, pause=0.01))

    async def leave():
        async with httpx.AsyncClient() as client:
            body = {**ASK, "stream": stream}
            asked = client.post(f"{server.url}/v1/chat/completions", json=body)
            task = asyncio.create_task(asked)
            await asyncio.to_thread(until, lambda: server.engine.requests)
            task.cancel()

    asyncio.run(leave())
    until(lambda: server.engine.cancelled)
    until(lambda: server.service.in_flight == 0)
    assert post(server, max_tokens=1).status_code == 200


def test_a_disconnect_before_the_first_token_cancels_too(serve):
    server = serve(ScriptedEngine(pause=30))
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/v1/chat/completions", json=ASK, timeout=2)
    until(lambda: server.engine.cancelled)


def test_an_engine_that_dies_before_the_first_token_is_a_plain_500(serve):
    server = serve(ScriptedEngine(fail_after=0, failure=EngineFailure("It died.")))
    for stream in (True, False):
        fault = post(server, stream=stream)
        assert fault.status_code == 500
        assert fault.headers["content-type"] == "application/json"
        assert fault.json()["error"]["type"] == "server_error"


@pytest.mark.parametrize("failure", [EngineFailure("It died."), RuntimeError("a bug")])
def test_an_engine_that_dies_in_mid_stream_ends_it_with_an_error(serve, failure):
    server = serve(ScriptedEngine(fail_after=2, failure=failure))
    chunks, last = stream_of(server)
    assert len(chunks) == 3
    assert not any(chunk["choices"][0]["finish_reason"] for chunk in chunks)
    assert json.loads(last)["error"]["type"] == "server_error"
    assert "bug" not in last
    with pytest.raises(openai.APIError, match=r"It died\.|The server had an error"):
        list(client_of(server).chat.completions.create(**ASK, stream=True))


def test_a_token_that_the_model_lacks_cannot_be_biased(shared_server):
    fault = post(shared_server, logit_bias={"16384": 1})
    assert fault.status_code == 400
    assert fault.json()["error"] == {
        "message": "Invalid key in 'logit_bias': 16384. Maximum value is 16383.",
        "type": "invalid_request_error",
        "param": "logit_bias",
        "code": None,
    }


def test_a_permanent_error_asks_the_client_not_to_retry(serve):
    fault = post(serve(ScriptedEngine(fail_after=0, failure=Quarantined())))
    assert fault.status_code == 500
    assert fault.json()["error"]["code"] == "request_quarantined"
    assert fault.headers["x-should-retry"] == "false"


def test_a_model_still_loading_is_a_503_that_says_when_to_come_back(serve):
    server = serve(ScriptedEngine(is_ready=False), load_seconds=0)
    assert httpx.get(f"{server.url}/health").status_code == 200
    assert httpx.get(f"{server.url}/ready").status_code == 503
    fault = post(server)
    assert fault.status_code == 503
    assert fault.headers["retry-after"] == "1"
    assert fault.json()["error"]["type"] == "service_unavailable_error"
    assert post(server, n=0).status_code == 400, "a bad request is bad at any time"


def test_one_request_too_many_is_rejected_immediately(serve):
    server = serve(ScriptedEngine(pause=30), max_queued=1)

    async def both():
        async with httpx.AsyncClient() as client:
            url = f"{server.url}/v1/chat/completions"
            first = asyncio.create_task(client.post(url, json=ASK))
            await asyncio.to_thread(until, lambda: server.service.in_flight)
            second = await client.post(url, json=ASK)
            first.cancel()
            return second

    assert asyncio.run(both()).status_code == 503


def test_thirty_two_streams_at_once(serve):
    server = serve(ScriptedEngine(tokens=["tok"] * 50, pause=0.001))

    async def one(client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def all_of_them():
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
            return await asyncio.gather(*(one(client) for _ in range(32)))

    assert asyncio.run(all_of_them()) == ["tok" * 50] * 32


def test_the_openai_client_reads_answers_and_streams(shared_server):
    client = client_of(shared_server)
    assert client.chat.completions.create(**ASK).choices[0].message.content == "Hello there!"
    with client.chat.completions.stream(**ASK) as stream:
        assert stream.get_final_completion().choices[0].message.content == "Hello there!"
    raw = client.chat.completions.with_raw_response.create(**ASK)
    assert raw.headers["x-request-id"] == raw.parse()._request_id
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(**{**ASK, "model": "foo"})
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(**ASK, temperature=3)
    assert (bad.value.param, bad.value.code) == ("temperature", "decimal_above_max_value")


def test_a_reader_that_stops_reading_loses_its_answer(serve, monkeypatch):
    monkeypatch.setattr(event_stream, "WRITE_SECONDS", 0.3)
    server = serve(ScriptedEngine(tokens=["x" * 60_000] * 4000, window=10_000))
    body = json.dumps({**ASK, "stream": True, "max_tokens": 4000}).encode()
    port = int(server.url.rpartition(":")[2])
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head + body)
        until(lambda: server.engine.cancelled)
        until(lambda: server.service.in_flight == 0)


@pytest.mark.parametrize(("found", "told"), [(16, 0), (1023, 0), (1024, 1024), (1300, 1280)])
def test_cached_tokens_are_counted_in_steps(serve, found, told):
    with client_of(serve(ScriptedEngine(cached=found))) as client:
        usage = client.chat.completions.create(**ASK).usage
    assert usage.prompt_tokens_details.cached_tokens == told


def test_the_models_defaults_fill_missing_values(serve):
    recommended = {"temperature": 0.2, "top_p": 0.9, "top_k": 40}
    model = replace(settings().models[0], known_sampling=recommended)
    server = serve(models=(model,))
    for stated in (
        {},
        {"temperature": 1},
        {"temperature": None, "top_p": 1.0},
        {"temperature": 0, "top_p": 0.5},
    ):
        assert post(server, **stated).status_code == 200
        params = server.engine.requests[-1].params
        said = {name: value for name, value in stated.items() if value is not None}
        assert {name: getattr(params, name) for name in recommended} == recommended | said


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_cannot_be_stored_is_sent_and_says_so(serve, monkeypatch, stream):
    server = serve()

    async def fail(*_):
        raise StoreFailure("disk full")

    monkeypatch.setattr(server.service.store.completions, "add", fail)
    hello = [{"role": "user", "content": "Hi"}]
    body = {"model": "gpt-4.1-mini", "messages": hello, "store": True, "stream": stream}
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)
    assert answer.status_code == 200
    if stream:
        assert answer.text.endswith("could not store it\n\ndata: [DONE]\n\n")
        assert '"error"' not in answer.text
    else:
        assert "could not store it" in answer.headers["warning"]
        assert answer.json()["choices"][0]["message"]["content"] == "Hello there!"


async def test_a_client_that_reads_too_little_loses_the_rest(monkeypatch):
    monkeypatch.setattr(event_stream, "WRITE_SECONDS", 0.5)
    sent = []

    async def events():
        for number in range(1000):
            yield b"%d" % number

    async def send(message):
        sent.append(message)
        await asyncio.sleep(0.1)  # far less than the limit of one event

    async with asyncio.timeout(PATIENCE):
        await event_stream.send_events(events(), lambda error: b"", send)
    assert len(sent) < 20
    assert sent[-1]["more_body"], "the answer has no end"
