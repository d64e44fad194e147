"""POST /v1/responses over a scripted engine: the object, and the events of a stream."""

from __future__ import annotations

import json
import re
import threading
from itertools import count

import httpx
import pytest

from minikin.api.responses.translate import Body
from minikin.api.responses.wire import Response
from minikin.api.routes import response_turn
from minikin.errors import EngineFailure, StoreFailure
from tests.fakes import ScriptedEngine
from tests.patience import PATIENCE

ASK = {"model": "gpt-4.1-mini", "input": "Hi"}
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
CALL = ['<tool_call>\n{"name": "f", "arg', 'uments": {"a": ', "1}}\n</tool_call>"]
THINKING = (
    "{% for message in messages %}{{ message.content }}{% endfor %}"
    "{{ '<|im_start|>' }}{# </think> #}"
)


def post(server, path="/v1/responses", **fields) -> httpx.Response:
    return httpx.post(f"{server.url}{path}", json=ASK | fields, timeout=PATIENCE)


def answer(server, **fields) -> dict:
    got = post(server, **fields)
    assert got.status_code == 200, got.text
    return got.json()


def events(server, **fields) -> list[dict]:
    got = post(server, stream=True, **fields)
    assert got.headers["content-type"] == "text/event-stream; charset=utf-8"
    found = []
    for block in got.text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    for number, event in zip(count(), found):
        assert event["sequence_number"] == number
    return found


def kinds(found: list[dict]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in found]


def test_the_object_has_all_keys_in_order(shared_server):
    got = answer(shared_server)
    assert list(got) == [name for name in Response.__struct_fields__ if name != "conversation"]
    assert re.fullmatch(r"resp_[0-9a-f]{50}", got["id"])
    (message,) = got["output"]
    assert message["id"][4:20] == got["id"][5:21]
    assert list(message) == ["id", "type", "status", "content", "role"]
    assert message["content"] == [
        {"type": "output_text", "annotations": [], "logprobs": [], "text": "Hello there!"}
    ]
    assert got["status"] == "completed"
    assert got["billing"] == {"payer": "developer"}
    assert got["service_tier"] == "default"
    assert got["completed_at"] >= got["created_at"]
    assert got["usage"]["output_tokens"] == 5
    assert got["model"] == "gpt-4.1-mini-2025-04-14"


def test_settings_come_back(shared_server):
    sent = {
        "instructions": "", "temperature": 0, "top_p": 0.5, "max_output_tokens": 20,
        "max_tool_calls": 3, "metadata": {"a": "b"}, "user": "me", "safety_identifier": "s",
        "prompt_cache_key": "k", "top_logprobs": 2, "truncation": "auto", "store": False,
        "parallel_tool_calls": False, "tool_choice": "none", "presence_penalty": 1,
        "prompt_cache_retention": "24h",
    }  # fmt: skip
    got = answer(shared_server, **sent)
    assert {name: got[name] for name in sent} == sent
    assert isinstance(got["temperature"], float)


def test_a_stream_has_the_events_of_a_message(shared_server):
    found = events(shared_server)
    assert kinds(found) == [
        "created", "in_progress", "output_item.added", "content_part.added",
        *["output_text.delta"] * 4, "output_text.done", "content_part.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    first, last = found[0]["response"], found[-1]["response"]
    changed = {key for key in first if first[key] != last[key]}
    assert changed <= {"status", "completed_at", "output", "service_tier", "usage"}
    assert "billing" not in last
    item = found[-2]["item"]
    assert last["output"] == [item]
    assert {e["item_id"] for e in found if "item_id" in e} == {item["id"]}
    assert all(list(event)[1:] == sorted(list(event)[1:]) for event in found)


def test_padding_fills_to_sixteen(shared_server):
    deltas = [e for e in events(shared_server) if "delta" in e]
    assert all((len(e["delta"]) + len(e["obfuscation"])) % 16 == 0 for e in deltas)
    bare = events(shared_server, stream_options={"include_obfuscation": False})
    assert not any("obfuscation" in event for event in bare)


def test_a_cut_answer_is_incomplete(serve):
    server = serve(ScriptedEngine(tokens=list("abcdefghijklmnopqrstuvwxyz")))
    found = events(server, max_output_tokens=16)
    assert kinds(found)[-4:] == [
        "output_text.done", "content_part.done", "output_item.done", "incomplete",
    ]  # fmt: skip
    last = found[-1]["response"]
    assert last["status"] == last["output"][0]["status"] == "incomplete"
    assert last["incomplete_details"] == {"reason": "max_output_tokens"}
    assert last["completed_at"] is None
    assert last["usage"]["output_tokens"] == 16


def test_log_probabilities_are_in_deltas_and_in_the_item(shared_server):
    asked = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    found = events(shared_server, **asked)
    deltas = [e["logprobs"] for e in found if e["type"].endswith("text.delta")]
    (message,) = found[-1]["response"]["output"]
    entries = message["content"][0]["logprobs"]
    assert len(entries) == sum(map(len, deltas)) == 4
    assert found[-1]["response"]["usage"]["output_tokens"] == len(entries) + 1
    assert {len(entry["top_logprobs"]) for entry in entries} == {2}
    assert answer(shared_server)["output"][0]["content"][0]["logprobs"] == []


def test_a_call_is_an_item_and_never_text(serve):
    server = serve(ScriptedEngine(tokens=["Let me see.", "\n", *CALL]))
    found = events(server, tools=[TOOL])
    message, call = found[-1]["response"]["output"]
    assert message["content"][0]["text"].strip() == "Let me see."
    assert list(call) == ["id", "type", "status", "arguments", "call_id", "name"]
    assert (call["name"], call["arguments"], call["status"]) == ("f", '{"a": 1}', "completed")
    assert re.fullmatch(r"fc_[0-9a-f]{50}", call["id"])
    assert re.fullmatch(r"call_[0-9A-Za-z]{24}", call["call_id"])
    pieces = [e for e in found if e["type"] == "response.function_call_arguments.delta"]
    assert "".join(e["delta"] for e in pieces) == call["arguments"]
    assert {e["output_index"] for e in pieces} == {1}
    assert not any("tool_call" in e["delta"] for e in found if "delta" in e)
    done = next(e for e in found if e["type"] == "response.function_call_arguments.done")
    assert "name" not in done


def test_white_space_before_a_call_is_not_a_message(serve):
    server = serve(ScriptedEngine(tokens=["\n", " ", *CALL]))
    assert [item["type"] for item in answer(server, tools=[TOOL])["output"]] == ["function_call"]


def test_an_empty_answer_has_a_message(serve):
    server = serve(ScriptedEngine(tokens=[]))
    (message,) = answer(server)["output"]
    assert message["content"][0]["text"] == ""


def test_reasoning_is_an_item_before_the_message(serve):
    server = serve(ScriptedEngine(tokens=["<think>", "Hm", "</think>", "Yes"]), template=THINKING)
    found = events(server)
    thought, message = found[-1]["response"]["output"]
    assert thought["content"] == [{"type": "reasoning_text", "text": "Hm"}]
    assert message["content"][0]["text"] == "Yes"
    assert found[-1]["response"]["usage"]["output_tokens_details"] == {"reasoning_tokens": 1}
    again = answer(server, input=[{"role": "user", "content": "x"}, thought, message])
    assert again["status"] == "completed"


def test_a_failure_after_the_start_ends_the_stream(serve):
    failure = EngineFailure("The engine stopped.")
    server = serve(ScriptedEngine(fail_after=2, failure=failure))
    *_, error, failed = events(server)
    assert error["error"]["message"] == "The engine stopped."
    assert failed["type"] == "response.failed"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"]["code"] == "server_error"
    assert failed["response"]["output"][0]["content"][0]["text"] == "Hello"


def test_a_failure_before_the_start_is_an_http_error(serve):
    server = serve(ScriptedEngine(fail_after=0, failure=EngineFailure("The engine stopped.")))
    for stream in (True, False):
        assert post(server, stream=stream).status_code == 500


def test_an_error_of_a_stream_is_json(shared_server):
    got = post(shared_server, stream=True, temperature=9)
    assert got.status_code == 400
    assert got.json()["error"]["code"] == "decimal_above_max_value"


def test_both_apis_have_the_same_prompt_and_sampling(serve):
    server = serve()
    answer(server, instructions="Be brief.", temperature=0.5, max_output_tokens=20, store=False)
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    chat = {"model": "gpt-4.1-mini", "messages": messages, "temperature": 0.5, "max_tokens": 20}
    httpx.post(f"{server.url}/v1/chat/completions", json=chat, timeout=PATIENCE)
    mine, theirs = server.engine.requests
    assert (mine.prompt, mine.params) == (theirs.prompt, theirs.params)


def test_input_tokens_are_those_of_the_usage(serve):
    server = serve()
    asked = {"instructions": "Be brief.", "tools": [TOOL], "input": [
        {"role": "user", "content": "Hi"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "42"},
    ]}  # fmt: skip
    counted = post(server, "/v1/responses/input_tokens", **asked).json()
    assert counted == {
        "object": "response.input_tokens",
        "input_tokens": answer(server, **asked)["usage"]["input_tokens"],
    }
    assert len(server.engine.requests) == 1
    assert post(server, "/v1/responses/input_tokens", store=True).status_code == 400


def test_truncation_drops_the_oldest_items(serve):
    server = serve(ScriptedEngine(window=600))
    items = [{"role": "user", "content": f"{n} " + "x" * 90} for n in range(9)]
    assert post(server, input=items).json()["error"]["code"] == "context_length_exceeded"
    got = answer(server, input=items, truncation="auto", instructions="Stay.")
    prompt = bytes(t for t in server.engine.requests[-1].prompt if t < 256).decode()
    assert "Stay." in prompt
    assert "8 x" in prompt
    assert "0 x" not in prompt
    assert got["usage"]["input_tokens"] <= 600 - 150


def test_a_prompt_that_is_too_long_has_the_words_of_this_api(serve):
    server = serve(ScriptedEngine(window=64))
    error = post(server, input="x" * 100).json()["error"]
    assert error["message"].startswith("Your input exceeds the context window of this model.")
    assert (error["param"], error["code"]) == ("input", "context_length_exceeded")


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        (
            {"tools": [TOOL | {"strict": True, "parameters": {"type": "object"}}]},
            "tools[0].parameters",
            "invalid_function_parameters",
        ),
        (
            {"text": {"format": {
                "type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True,
            }}},
            "text.format.schema",
            "invalid_json_schema",
        ),
    ],
)  # fmt: skip
def test_faults_of_schemas_have_the_places_of_this_api(shared_server, fields, param, code):
    error = post(shared_server, **fields).json()["error"]
    assert (error["param"], error["code"]) == (param, code)


def test_a_custom_tool_gets_a_text(serve):
    custom = {"type": "custom", "name": "shell", "description": "Runs a command."}
    tokens = [
        '<tool_call>\n{"name": "shell", "arguments": {"input": "ls ',
        "-l",
        '\\n"}}\n</tool_call>',
    ]
    server = serve(ScriptedEngine(tokens=tokens))
    found = events(server, tools=[custom], tool_choice={"type": "custom", "name": "shell"})
    last = found[-1]["response"]
    (call,) = last["output"]
    assert list(call) == ["id", "type", "status", "call_id", "input", "name"]
    assert (call["type"], call["input"], call["id"][:4]) == ("custom_tool_call", "ls -l\n", "ctc_")
    deltas = [e["delta"] for e in found if e["type"] == "response.custom_tool_call_input.delta"]
    assert "".join(deltas) == call["input"]
    assert last["tools"] == [custom | {"format": {"type": "text"}}]
    output = {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "42"}
    again = answer(server, input=[call, output], tools=[custom])
    assert again["status"] == "completed"
    prompt = bytes(t for t in server.engine.requests[-1].prompt if t < 256).decode()
    assert prompt.index('{"input": "ls -l') < prompt.index("42")


def test_extensions_drop_hosted_tools_with_a_warning(serve):
    server = serve(extensions=True)
    hosted = [{"type": "web_search"}, {"type": "namespace", "name": "n", "tools": []}]
    for stream in (False, True):
        got = post(server, tools=[TOOL, *hosted], stream=stream)
        assert got.headers["warning"] == (
            '299 minikin "Dropped hosted tools: web_search, namespace"'
        )
    assert [tool["type"] for tool in answer(server, tools=[TOOL, *hosted])["tools"]] == ["function"]
    assert "warning" not in post(server, tools=[TOOL]).headers


def test_what_codex_sends_is_accepted_with_extensions(serve):
    server = serve(extensions=True)
    sent = {
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"summary": "auto"},
        "client_metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": [TOOL | {"strict": False}, {"type": "web_search"}],
        "input": [
            {"type": "message", "role": "developer", "content": [
                {"type": "input_text", "text": "Be brief."}
            ], "id": "msg_0199-a"},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        ],
    }  # fmt: skip
    assert post(server, **sent).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_that_cannot_be_stored_is_sent_and_says_so(serve, monkeypatch, stream):
    server = serve()

    async def fail(*_, **__):
        raise StoreFailure("disk full")

    monkeypatch.setattr(server.service.store.responses, "put", fail)
    body = {"model": "gpt-4.1-mini", "input": "Hi", "stream": stream}
    answer = httpx.post(f"{server.url}/v1/responses", json=body, timeout=PATIENCE)
    assert answer.status_code == 200
    if stream:
        *_, comment, last, end = answer.text.split("\n\n")
        assert comment.startswith(": warning: ")
        assert last.startswith("event: response.completed")
        assert end == ""
    else:
        assert "could not store it" in answer.headers["warning"]
        assert answer.json()["status"] == "completed"


@pytest.mark.parametrize("name", ["kept_items", "ResponseMaker"])
@pytest.mark.parametrize(("count", "thread"), [(1, "loop"), (3_000, "large")])
def test_a_large_input_is_worked_on_beside_the_event_loop(
    shared_server, monkeypatch, name, count, thread
):
    seen, real = [], getattr(response_turn, name)

    def noted(*given):
        seen.append(threading.current_thread().name)
        return real(*given)

    monkeypatch.setattr(response_turn, name, noted)
    got = post(shared_server, input=[{"role": "user", "content": "a"}] * count)
    assert got.status_code in (200, 400), got.text
    assert [each.startswith("large") for each in seen] == [thread == "large"]


def test_large_tools_are_rewritten_beside_the_event_loop(shared_server, monkeypatch):
    seen, real = [], Body.with_context

    def noted(*given):
        seen.append(threading.current_thread().name)
        return real(*given)

    monkeypatch.setattr(Body, "with_context", noted)
    properties = {f"p{at}": {"type": "string"} for at in range(1_000)}
    large = TOOL | {"parameters": {"type": "object", "properties": properties}}
    for tools in ([TOOL], [large]):
        assert post(shared_server, tools=tools, tool_choice="none").status_code == 200
    assert [each.startswith("large") for each in seen] == [False, True]
